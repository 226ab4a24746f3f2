"""Render notifications as emails."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Row, select

from shopbell.conversations.customer_view import Line
from shopbell.customers import customers
from shopbell.customers.magic_links import has_reached
from shopbell.db.schema.customers import notification_state, outbound_messages, surveys
from shopbell.email.answer_links import AnswerLinks, AnswerTarget, digest
from shopbell.email.message import EmailContent, Purpose, Quoted
from shopbell.email.reply_addresses import Audience, EmailAddresses
from shopbell.email.unsubscribe import Subscription, UnsubscribeLinks
from shopbell.formats.identities import normal_email
from shopbell.i18n.translations import for_locale
from shopbell.notifications import business_digest
from shopbell.notifications.content import Notification, Urls
from shopbell.security.keys import Keys
from shopbell.settings.settings import Settings


class EmailRenderer:
    """Renders emails.

    Args:
        settings: those of this process.
        keys: the installation's keys.
    """

    def __init__(self, settings: Settings, keys: Keys) -> None:
        self._urls = Urls(settings, keys)
        self._addresses = EmailAddresses(keys, sender=settings.mail_sender, reply_domain=settings.mail_reply_domain)
        self._sender = settings.mail_sender
        self._unsubscribes = UnsubscribeLinks(keys)
        self._answers = AnswerLinks(keys)

    def content(self, tx: Connection, notification: Notification) -> EmailContent:
        """Render an email.

        An address that the customer only claimed may be a stranger's. An email to it contains nothing that the customer
        wrote: no name, no subject, none of their messages.
        """
        row, thread, address = notification.row, notification.thread, notification.address
        organization_id, business = row.organization_id, thread.business
        is_for_business = row.audience == "store"
        audience = Audience.BUSINESS if is_for_business else Audience.CUSTOMER
        profile = customers.profile(tx, organization_id, thread.customer_id)
        is_claimed = not is_for_business and not _is_proved(tx, row, profile, address)
        new = notification.new
        before = [line for line in notification.earlier if not (is_claimed and line.from_customer)]
        customer_name = profile.called(for_locale(business.locale))
        about = _state(tx, organization_id, row.thread_id)
        quoted = [self._quoted(one, business.name, customer_name, is_for_business, row) for one in (*new, *before)]
        goes_on = about is not None and not is_for_business and not is_claimed
        answered = about.mail_header_id if goes_on else None
        of_thread = self._addresses.thread_id(organization_id, row.thread_id)
        answering = AnswerTarget(organization_id, row.thread_id, business.id, digest(address))
        subscription = Subscription(organization_id, row.thread_id, audience, digest(address))
        return EmailContent(
            purpose=Purpose(row.purpose),
            message_id=self._addresses.message_id(organization_id, row.id),
            envelope_sender=self._addresses.bounce(organization_id, row.id),
            sender=self._sender,
            recipient=address,
            business_name=business.name,
            at_ms=row.created_at_ms,
            locale=business.locale if is_for_business else thread.locale,
            business_locale=business.locale,
            time_zone=business.time_zone,
            recipient_name=business.name if is_for_business else "" if is_claimed else _name_of(profile),
            customer_name=customer_name,
            reply_to=self._addresses.reply(organization_id, row.thread_id, audience),
            subject=about.mail_subject if goes_on else None,
            is_follow_up=_was_mailed(tx, row) or answered is not None,
            in_reply_to=answered or of_thread,
            references=[of_thread, *([answered] if answered else [])],
            messages=quoted[: len(new)],
            history=quoted[len(new) :],
            others=business_digest.count_others(tx, row) if is_for_business else 0,
            button_url=self._answers.link(self._urls.base, answering, now_s=row.created_at_ms // 1_000)
            if is_for_business
            else notification.make_link(),
            unsubscribe_url=None if row.purpose == "link" else self._unsubscribes.link(self._urls.base, subscription),
            survey=_survey_kind(tx, organization_id, row.survey_id),
            color=business.brand_color,
        )

    def _quoted(self, line: Line, business: str, customer: str, is_for_business: bool, row: Row[Any]) -> Quoted:
        file = line.attachment
        author = (customer if is_for_business else None) if line.from_customer else line.author or business
        return Quoted(
            author=author,
            text=line.text,
            at_ms=line.created_at_ms,
            attachment_name=file.name if file else None,
            attachment_url=self._urls.file(file, row.created_at_ms) if file else None,
        )


def _is_proved(tx: Connection, row: Row[Any], profile: customers.Profile, address: str) -> bool:
    """Whether the address is verified.

    It is if it is an identity of the customer, or if they used a link that was sent there.
    """
    email = normal_email(address)
    is_known = any(each.kind == "email" and each.value == email for each in profile.identities)
    return is_known or has_reached(tx, row.organization_id, row.thread_id, email)


def _state(tx: Connection, organization_id: int, thread_id: int) -> Any:
    c = notification_state.c
    query = select(c.mail_subject, c.mail_header_id)
    return tx.execute(query.where(c.organization_id == organization_id, c.thread_id == thread_id)).first()


def _was_mailed(tx: Connection, row: Row[Any]) -> bool:
    c = outbound_messages.c
    query = select(c.id).where(
        c.organization_id + 0 == row.organization_id,
        *(c.thread_id == row.thread_id, c.channel == "EMAIL", c.audience == row.audience, c.id < row.id),
        c.state.in_(("sent", "delivered", "read", "unknown")),
        c.purpose != "link",
    )
    return tx.execute(query.limit(1)).first() is not None


def _survey_kind(tx: Connection, organization_id: int, survey_id: int | None) -> str:
    if survey_id is None:
        return "nps"
    c = surveys.c
    return tx.scalar(select(c.kind).where(c.organization_id == organization_id, c.id == survey_id)) or "nps"


def _name_of(profile: customers.Profile) -> str:
    parts: Sequence[str | None] = (profile.customer.first_name, profile.customer.last_name)
    return " ".join(part for part in parts if part)
