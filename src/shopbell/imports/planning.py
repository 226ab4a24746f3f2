"""Turn what was read into conversations of this installation, by its rules."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice

from sqlalchemy import Connection

from shopbell.conversations import history
from shopbell.conversations.history import Past
from shopbell.conversations.message_text import MESSAGE_MAX_CHARACTERS
from shopbell.conversations.message_writer import NewMessage
from shopbell.customers.contacts import Contact
from shopbell.db.database import Database
from shopbell.events.actors import SYSTEM, Actor
from shopbell.formats.channels import IDENTITY_KINDS
from shopbell.imports.model import Conversation, Kind, Message
from shopbell.imports.people import Staff, contact_of
from shopbell.imports.report import Place, Report
from shopbell.imports.spool import Spool
from shopbell.inbox.tags import NAME_MAX_CHARACTERS, THREAD_TAGS_MAX

_LOOKED_UP_AT_ONCE = 200


@dataclass(frozen=True, slots=True)
class Rules:
    """How conversations become those of an organization.

    Args:
        organization_id: the organization.
        source: what precedes the id of each conversation: ``zendesk``.
        regions: the default region of each business that may be chosen.
        businesses: the business for each inbox that was named, by its id or name.
        business_id: the business for all other inboxes; None to leave their conversations out.
        since_ms: conversations without a message since then are left out.
        keep_since_ms: older messages are left out, because retention would delete them.
    """

    organization_id: int
    source: str
    regions: Mapping[int, str | None]
    businesses: Mapping[str, int]
    business_id: int | None = None
    since_ms: int = 0
    keep_since_ms: int = 0

    def source_of(self, conversation: Conversation) -> str:
        """The id by which an imported conversation is remembered."""
        return f"{self.source}:{conversation.id}"

    def business_of(self, conversation: Conversation) -> int | None:
        """The business of a conversation."""
        named = (self.businesses[each] for each in conversation.inboxes if each in self.businesses)
        return next(named, self.business_id)


@dataclass(frozen=True, slots=True, repr=False)
class Planned:
    """A conversation that is to be imported.

    Args:
        past: what is stored.
        contact: the customer.
        person_key: the key of the customer in the files.
        business_id: the business.
        subject: its subject; empty if there is none.
        tags: the names of its tags.
        place: where it is in the files.
    """

    past: Past
    contact: Contact
    person_key: str
    business_id: int
    subject: str
    tags: Sequence[str]
    place: Place


def plan(database: Database, spool: Spool, rules: Rules, staff: Staff, report: Report) -> Iterator[Planned]:
    """Plan the conversations that were read, in the order in which they began."""
    found = spool.conversations()
    while some := list(islice(found, _LOOKED_UP_AT_ONCE)):
        known = database.read_now(_find_imported, rules, [conversation for conversation, _ in some])
        for conversation, place in some:
            if rules.source_of(conversation) in known:
                report.skip("conversation", "imported before", place, conversation.id)
            elif (planned := _plan(conversation, place, spool, rules, staff, report)) is not None:
                yield planned


def _find_imported(tx: Connection, rules: Rules, conversations: Sequence[Conversation]) -> set[str]:
    return history.find_imported(tx, rules.organization_id, [rules.source_of(each) for each in conversations])


def _plan(
    conversation: Conversation, place: Place, spool: Spool, rules: Rules, staff: Staff, report: Report
) -> Planned | None:
    business_id = rules.business_of(conversation)
    kept = [message for message in conversation.messages if message.at_ms >= rules.keep_since_ms]
    person = spool.person(conversation.customer_key)
    reason = None
    if conversation.messages[-1].at_ms < rules.since_ms:
        reason = "without messages since the time given with --since"
    elif not kept:
        reason = "older than the organization keeps messages"
    elif business_id is None:
        reason = "no business for its inbox: use --business or --map"
    elif person is None:
        reason = "its customer is in none of the files: import the file with people together with this one"
    if business_id is None or person is None or reason is not None:
        report.skip("conversation", reason or "", place, conversation.id)
        return None
    for _ in range(len(conversation.messages) - len(kept)):
        report.skip("message", "older than the organization keeps messages", place, conversation.id)
    contact = contact_of(person, rules.regions[business_id], kept[0].at_ms, report, place)
    channel = _channel(conversation.channel, contact)
    address = {kind: value for kind, value, _ in reversed(contact.identities)}
    numbers = [shown for kind, _, shown in contact.identities if kind == "phone"]
    authors = [_author(message, conversation, spool) for message in kept]
    messages = [
        new
        for message, author in zip(kept, authors, strict=True)
        for new in _messages(message, author, channel, conversation, spool, staff, report, place)
    ]
    past = Past(
        rules.source_of(conversation),
        channel,
        _status(conversation, kept, authors),
        messages,
        email=address.get("email") if channel == "EMAIL" else None,
        phone=numbers[0] if channel in ("SMS", "WHATSAPP") else None,
        assignee_id=staff.active_id(spool.person(conversation.assignee_key)),
    )
    tags = _tags(conversation, report, place)
    return Planned(past, contact, person.key, business_id, conversation.subject, tags, place)


def _channel(channel: str, contact: Contact) -> str:
    """The channel, or the web if the customer cannot be reached by it."""
    kinds = {kind for kind, _, _ in contact.identities}
    if channel == "WEB" or IDENTITY_KINDS[channel] in kinds:
        return channel
    return "WEB"


def _author(message: Message, conversation: Conversation, spool: Spool) -> Kind:
    if message.author is not None:
        return message.author
    person = spool.person(message.author_key)
    if message.author_key == conversation.customer_key or (person is not None and not person.is_employee):
        return "customer"
    return "employee"


def _status(conversation: Conversation, messages: Sequence[Message], authors: Sequence[Kind]) -> str:
    if conversation.status != "open":
        return conversation.status
    said = [author for message, author in zip(messages, authors, strict=True) if not message.internal]
    return "waiting" if said and said[-1] == "customer" else "replied"


def _messages(
    message: Message,
    author: Kind,
    channel: str,
    conversation: Conversation,
    spool: Spool,
    staff: Staff,
    report: Report,
    place: Place,
) -> Iterator[NewMessage]:
    """The message, as several if it is too long for one."""
    employee_id = None
    if author == "employee":
        employee_id = staff.id_of(spool.person(message.author_key))
        if employee_id is None:
            report.skip("author", "not an employee of the organization", place, conversation.id)
    for _ in message.files:
        report.skip("file", "the export has only its name", place, conversation.id)
    text = "\n".join((*filter(None, (message.text,)), *(f"[{name}]" for name in message.files)))
    for begin in range(0, len(text), MESSAGE_MAX_CHARACTERS):
        yield NewMessage(
            text[begin : begin + MESSAGE_MAX_CHARACTERS],
            # A customer writes no notes: it would be the note of an employee without an account.
            from_customer=author == "customer" and not message.internal,
            internal=message.internal,
            channel=None if message.internal else channel,
            actor=Actor("employee", employee_id) if author == "employee" else SYSTEM,
            created_at_ms=message.at_ms,
        )


def _tags(conversation: Conversation, report: Report, place: Place) -> tuple[str, ...]:
    fitting = tuple(tag for tag in conversation.tags if len(tag) <= NAME_MAX_CHARACTERS)
    for _ in range(len(conversation.tags) - len(fitting)):
        report.skip("tag", f"longer than {NAME_MAX_CHARACTERS} characters", place, conversation.id)
    for _ in fitting[THREAD_TAGS_MAX:]:
        report.skip("tag", f"more than {THREAD_TAGS_MAX} of one conversation", place, conversation.id)
    return fitting[:THREAD_TAGS_MAX]
