"""Read conversations of Chatwoot as its API describes them, one JSON object or one page of them per line.

Chatwoot has no export of conversations. ``docs/import.md`` has a query that writes this file from its database.

- Conversations: https://developers.chatwoot.com/api-reference/conversations/conversations-list
- Messages: https://developers.chatwoot.com/api-reference/messages/get-messages
- Contacts: https://developers.chatwoot.com/api-reference/contacts/list-contacts
- Agents: https://developers.chatwoot.com/api-reference/agents/list-agents-in-account
"""

from collections.abc import Iterator
from typing import Any

from shopbell.imports.model import BrokenRecord, Conversation, Kind, Message, Person, Record, SkippedRecord, Status
from shopbell.imports.values import identifier, in_order, items, key, member, objects, text, texts, time_ms

_STATUSES: dict[str, Status] = {"open": "open", "pending": "open", "snoozed": "replied", "resolved": "resolved"}
_CHANNELS = {"Email": "EMAIL", "Whatsapp": "WHATSAPP", "Sms": "SMS", "TwilioSms": "SMS"}
"""By the type of the inbox. All others are chats on websites and social networks."""

_TYPES: dict[str, Kind] = {"0": "customer", "incoming": "customer", "1": "employee", "outgoing": "employee"}
_TYPES |= dict.fromkeys(("3", "template"), "program")
"""By ``message_type``; messages of other types only describe what happened."""

_STAFF = ("agent", "administrator")


def records(line: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The records of a line: those of a page, or the line."""
    data = line.get("data")
    return items(data if isinstance(data, dict) else line, "payload")


def read(record: dict[str, Any]) -> Iterator[Record]:
    """Read a conversation, a contact or an agent.

    Raises:
        BrokenRecord: it does not follow the format.
        SkippedRecord: it is none of them.
    """
    if "messages" in record:
        yield from _conversation(record)
    elif record.get("role") in _STAFF:
        yield _person(record, "user")
    elif "phone_number" in record:
        yield _person(record, "contact")
    else:
        raise SkippedRecord("neither a conversation nor a contact or agent")


def _person(record: dict[str, Any], kind: str) -> Person:
    return Person(
        key(kind, identifier(record.get("id"))),
        name=text(record.get("name")),
        email=text(record.get("email")),
        phone=text(record.get("phone_number")),
        company=text(member(record, "additional_attributes", "company_name")),
        is_employee=kind == "user",
    )


def _conversation(record: dict[str, Any]) -> Iterator[Record]:
    id_ = identifier(record.get("id"))
    contact, assignee = member(record, "meta", "sender"), member(record, "meta", "assignee")
    if not isinstance(contact, dict):
        raise BrokenRecord("has no contact")
    customer = _person(contact, "contact")
    yield customer
    messages = objects(record["messages"])
    senders = [each["sender"] for each in messages if member(each, "sender", "type") == "user"]
    for employee in (*objects([assignee]), *objects(senders)):
        yield _person(employee, "user")
    labels = record.get("labels")
    channel = text(member(record, "meta", "channel") or record.get("channel")).removeprefix("Channel::")
    yield Conversation(
        id_,
        customer.key,
        _CHANNELS.get(channel, "WEB"),
        _STATUSES.get(text(record.get("status")), "open"),
        in_order(found for each in messages if (found := _message(each))),
        inboxes=texts((record.get("inbox_id"), member(record, "inbox", "name"), member(record, "meta", "inbox_name"))),
        subject=text(member(record, "additional_attributes", "mail_subject")),
        tags=texts(labels) if isinstance(labels, list) else (),
        assignee_key=key("user", member(assignee, "id")),
    )


def _message(message: dict[str, Any]) -> Message | None:
    author = _TYPES.get(text(message.get("message_type")))
    if author is None or member(message, "content_attributes", "deleted"):
        return None
    sender = message.get("sender")
    if author == "employee" and member(sender, "type") == "agent_bot":
        author = "program"
    kind = "user" if author == "employee" else "contact"
    return Message(
        time_ms(message.get("created_at")),
        text(message.get("content")),
        author,
        "" if author == "program" else key(kind, member(sender, "id")),
        internal=message.get("private") is True,
        files=texts(_file_name(each) for each in objects(message.get("attachments"))),
    )


def _file_name(attachment: dict[str, Any]) -> str:
    """The end of the address of a file, or its type."""
    name = text(attachment.get("data_url")).partition("?")[0].rpartition("/")[2]
    return name or text(attachment.get("file_type")) or "file"
