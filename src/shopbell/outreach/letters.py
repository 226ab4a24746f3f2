"""Makes out of a dispatch's rows what is sent: a letter, or a text."""

from collections.abc import Callable, Sequence
from typing import Any

from sqlalchemy import Connection, Row, false, select

from shopbell import conversation, customers
from shopbell.attachment_links import AttachmentLinks
from shopbell.attachments import Attachment
from shopbell.conversation import Line
from shopbell.customer_links import has_reached
from shopbell.identity import normal_email
from shopbell.keys import Keys
from shopbell.mail.addresses import Audience, MailAddresses
from shopbell.mail.answer_links import Answering, AnswerLinks, digest
from shopbell.mail.letter import Letter, Purpose, Quoted
from shopbell.mail.unsubscribe import Subscription, Unsubscribes
from shopbell.outreach import notices
from shopbell.outreach.facts import Known
from shopbell.settings import Settings
from shopbell.storage.customer_schema import dispatches, message_deliveries, surveys, thread_outreach
from shopbell.storage.schema import messages
from shopbell.texting.outgoing import OutgoingText
from shopbell.texting.segments import segments, shortened, with_plain_spaces
from shopbell.texts import for_locale

HISTORY_MAX = 5
LINES_MAX = 50
_WINDOW = HISTORY_MAX + LINES_MAX
LINK_DAYS = 7
TEXT_SEGMENTS_MAX = 10
"""Most segments of one text; the rest is behind its link."""

_DAY_S = 24 * 60 * 60


class Office:
    """Where letters and texts are written.

    Args:
        settings: those of this process.
        keys: the installation's keys.
    """

    def __init__(self, settings: Settings, keys: Keys) -> None:
        port = f":{settings.port}" if settings.port not in (0, 80) else ""
        public = str(settings.public_url).rstrip("/") if settings.public_url else None
        self.base_url = public or f"http://{settings.host}{port}"
        self.addresses = MailAddresses(keys, sender=settings.mail_sender, reply_domain=settings.mail_reply_domain)
        self._sender = settings.mail_sender
        self._unsubscribes = Unsubscribes(keys)
        self._answers = AnswerLinks(keys)
        # As long as anybody may be expected to read a mail, and as a link can be good.
        self._files = AttachmentLinks(keys, LINK_DAYS * _DAY_S)
        self._reaches_public = public is not None

    def letter(
        self, tx: Connection, row: Row[Any], thread: Known, address: str, link: str | None, *, read_sequence: int
    ) -> Letter:
        """A mail, before it is one.

        An address that the customer only claimed may be a stranger's. A mail there has no word of the customer's:
        no name, no subject, none of their messages.

        Args:
            tx: the transaction.
            row: the dispatch's.
            thread: its thread.
            address: whom it goes to.
            link: where the conversation goes on for the customer.
            read_sequence: messages up to this one have been read elsewhere.
        """
        organization_id, business = row.organization_id, thread.business
        is_for_store = row.audience == "store"
        audience = Audience.STORE if is_for_store else Audience.CUSTOMER
        profile = customers.profile(tx, organization_id, thread.customer_id)
        new, before = self._lines(tx, row, read_sequence)
        is_claimed = not is_for_store and not _is_proved(tx, row, profile, address)
        before = [line for line in before if not (is_claimed and line.from_customer)]
        customer_name = profile.called(for_locale(business.locale))
        about = _outreach(tx, organization_id, row.thread_id)
        quoted = [self._quoted(one, business.name, customer_name, is_for_store, row) for one in (*new, *before)]
        goes_on = about is not None and not is_for_store and not is_claimed
        answered = about.mail_header_id if goes_on else None
        of_thread = self.addresses.thread_id(organization_id, row.thread_id)
        answering = Answering(organization_id, row.thread_id, business.id, digest(address))
        subscription = Subscription(organization_id, row.thread_id, audience, digest(address))
        return Letter(
            purpose=Purpose(row.purpose),
            message_id=self.addresses.message_id(organization_id, row.id),
            envelope_sender=self.addresses.bounce(organization_id, row.id),
            sender=self._sender,
            recipient=address,
            business_name=business.name,
            at_ms=row.created_at_ms,
            locale=business.locale if is_for_store else thread.locale,
            business_locale=business.locale,
            time_zone=business.time_zone,
            recipient_name=business.name if is_for_store else "" if is_claimed else _name_of(profile),
            customer_name=customer_name,
            reply_to=self.addresses.reply(organization_id, row.thread_id, audience),
            subject=about.mail_subject if goes_on else None,
            is_follow_up=_was_mailed(tx, row) or answered is not None,
            in_reply_to=answered or of_thread,
            references=[of_thread, *([answered] if answered else [])],
            messages=quoted[: len(new)],
            history=quoted[len(new) :],
            others=notices.count_others(tx, row) if is_for_store else 0,
            button_url=self._answers.link(self.base_url, answering, now_s=row.created_at_ms // 1_000)
            if is_for_store
            else link,
            unsubscribe_url=None if row.purpose == "link" else self._unsubscribes.link(self.base_url, subscription),
            survey=_survey_kind(tx, organization_id, row.survey_id),
            color=business.brand_color,
        )

    def text(
        self,
        tx: Connection,
        row: Row[Any],
        thread: Known,
        address: str,
        link: Callable[[], str],
        *,
        needs_link: bool,
        read_sequence: int,
    ) -> OutgoingText:
        """An SMS, or a message by WhatsApp; linked where not all has room.

        Args:
            tx: the transaction.
            row: the dispatch's.
            thread: its thread.
            address: whom it goes to.
            link: makes where the conversation goes on for the customer.
            needs_link: whether that is said even where the text has room for everything.
            read_sequence: messages up to this one have been read elsewhere.
        """
        texts = for_locale(thread.locale, thread.business.locale)
        name = thread.business.name
        content_sid = None
        media: list[str] = []
        if row.purpose in ("invitation", "link") and row.first_sequence is None:
            body = texts.gettext("{business}: your conversation with us goes on here:", business=name)
        else:
            new, _ = self._lines(tx, row, read_sequence)
            files = [line.attachment for line in new if line.attachment is not None]
            if row.channel == "WHATSAPP":
                content_sid = _template_of(tx, row)
                media = [self._file(file, row.created_at_ms) for file in files] if self._reaches_public else []
            named = [] if media else [file.name for file in files]
            body = "\n".join(part for part in (*(line.text for line in new), *named) if part.strip())
            # Who writes from a number that nobody knows says who he is; who was written to is known.
            if thread.facts.channel == "WEB" and row.channel == "SMS" and row.purpose == "reply":
                body = f"{name}: {body}"
        if row.channel == "SMS":
            body = with_plain_spaces(body)
        is_cut = row.channel == "SMS" and segments(body).count > TEXT_SEGMENTS_MAX
        ending = f"\n{link()}" if needs_link or is_cut else ""
        if len(body) + len(ending) > 0:
            body = shortened(body + ending, TEXT_SEGMENTS_MAX, ending) if row.channel == "SMS" else body + ending
        return OutgoingText(
            reference=f"{row.organization_id}-{row.id}",
            channel=row.channel,
            to=address,
            text=body,
            sender=thread.business.phone_number if row.channel == "SMS" else None,
            content_sid=content_sid,
            media_urls=media,
        )

    def last_with_room(self, tx: Connection, row: Row[Any], read_sequence: int) -> int:
        """Place of the last message of a dispatch that its letter has room for; the arguments are those of ``text``."""
        new, _ = self._lines(tx, row, read_sequence)
        return new[-1].sequence if new else row.last_sequence or 0

    def _lines(self, tx: Connection, row: Row[Any], read_sequence: int) -> tuple[list[Line], list[Line]]:
        """What is new, the oldest first, and what was said before, the newest first."""
        if row.first_sequence is None:
            return [], []
        unseen = {place for place in carried(tx, row).values() if place > read_sequence}
        after = max(0, min(unseen, default=row.first_sequence) - 1 - HISTORY_MAX)
        found = conversation.lines(tx, row.organization_id, row.thread_id, after_sequence=after, limit=_WINDOW)
        new = [line for line in found if line.sequence in unseen]
        first = new[0].sequence if new else row.first_sequence
        return new, [line for line in reversed(found) if line.sequence < first][:HISTORY_MAX]

    def _quoted(self, line: Line, business: str, customer: str, is_for_store: bool, row: Row[Any]) -> Quoted:
        file = line.attachment
        author = (customer if is_for_store else None) if line.from_customer else line.author or business
        return Quoted(
            author=author,
            text=line.text,
            at_ms=line.created_at_ms,
            attachment_name=file.name if file else None,
            attachment_url=self._file(file, row.created_at_ms) if file else None,
        )

    def _file(self, file: Attachment, now_ms: int) -> str:
        return self._files.link(self.base_url, file.uuid, file.name, now_ms=now_ms).url


def _is_proved(tx: Connection, row: Row[Any], profile: customers.Profile, address: str) -> bool:
    """Whether an address is the customer's: they are known by it, or used a link that was mailed there."""
    email = normal_email(address)
    is_known = any(each.kind == "email" and each.value == email for each in profile.identities)
    return is_known or has_reached(tx, row.organization_id, row.thread_id, email)


def carried(tx: Connection, row: Row[Any]) -> dict[int, int]:
    """The messages of its thread that go with a dispatch: their places by their ids."""
    d = message_deliveries.c
    query = select(d.message_id, d.sequence).where(
        d.organization_id + 0 == row.organization_id, d.dispatch_id == row.id, d.thread_id == row.thread_id
    )
    return {row.message_id: row.sequence for row in tx.execute(query)}


def _outreach(tx: Connection, organization_id: int, thread_id: int) -> Any:
    c = thread_outreach.c
    query = select(c.mail_subject, c.mail_header_id)
    return tx.execute(query.where(c.organization_id == organization_id, c.thread_id == thread_id)).first()


def _was_mailed(tx: Connection, row: Row[Any]) -> bool:
    c = dispatches.c
    query = select(c.id).where(
        c.organization_id + 0 == row.organization_id,
        *(c.thread_id == row.thread_id, c.channel == "EMAIL", c.audience == row.audience, c.id < row.id),
        c.state.in_(("sent", "delivered", "read", "unknown")),
        c.purpose != "link",
    )
    return tx.execute(query.limit(1)).first() is not None


def _template_of(tx: Connection, row: Row[Any]) -> str | None:
    c = messages.c
    query = select(c.content_sid).where(
        c.organization_id == row.organization_id,
        *(c.thread_id == row.thread_id, c.sequence == row.first_sequence, c.internal == false()),
    )
    return tx.scalar(query)


def _survey_kind(tx: Connection, organization_id: int, survey_id: int | None) -> str:
    if survey_id is None:
        return "nps"
    c = surveys.c
    return tx.scalar(select(c.kind).where(c.organization_id == organization_id, c.id == survey_id)) or "nps"


def _name_of(profile: customers.Profile) -> str:
    parts: Sequence[str | None] = (profile.customer.first_name, profile.customer.last_name)
    return " ".join(part for part in parts if part)
