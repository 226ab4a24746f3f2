"""Read conversations and contacts of Intercom's API, one JSON object or one page of them per line.

- "Retrieve a conversation" has all parts of a conversation, at most 500. "List all conversations" has none:
  https://developers.intercom.com/docs/references/rest-api/api.intercom.io/conversations/retrieveconversation
- Contacts: https://developers.intercom.com/docs/references/rest-api/api.intercom.io/contacts/listcontacts
- Admins: https://developers.intercom.com/docs/references/rest-api/api.intercom.io/admins/listadmins
"""

from collections.abc import Iterator
from typing import Any

from shopbell.imports.model import BrokenRecord, Conversation, Kind, Message, Person, Record, SkippedRecord, Status
from shopbell.imports.values import html_text, identifier, in_order, items, key, member, objects, text, texts, time_ms

_STATUSES: dict[str, Status] = {"open": "open", "closed": "resolved", "snoozed": "replied"}
_CHANNELS = {"email": "EMAIL", "sms": "SMS", "whatsapp": "WHATSAPP"}
"""By ``source.type``. All others are conversations in the messenger or on social networks."""

_CONTACTS = ("contact", "user", "lead")
_NOTES = ("note", "note_and_reopen")


def records(line: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The records of a line: those of a page, or the line."""
    if line.get("type") == "conversation":  # it has a list of its own contacts
        return iter((line,))
    return items(line, "conversations", "admins", "data")


def read(record: dict[str, Any]) -> Iterator[Record]:
    """Read a conversation, a contact or an admin.

    Raises:
        BrokenRecord: it does not follow the format.
        SkippedRecord: it is none of them.
    """
    if record.get("type") == "conversation":
        yield from _conversation(record)
    elif record.get("type") in (*_CONTACTS, "admin"):
        identifier(record.get("id"))
        yield from _people([record])
    else:
        raise SkippedRecord("neither a conversation nor a contact or admin")


def _people(authors: list[dict[str, Any]]) -> Iterator[Person]:
    for each in authors:
        author, author_key = _author(each)
        if author_key and author != "program":
            yield Person(
                author_key,
                name=text(each.get("name")),
                email=text(each.get("email")),
                phone=text(each.get("phone")),
                is_employee=author == "employee",
            )


def _author(record: object) -> tuple[Kind, str]:
    """Who an author is, and their key."""
    type_, id_ = text(member(record, "type")), member(record, "id")
    if type_ in _CONTACTS:
        return "customer", key("contact", id_)
    return ("employee", key("admin", id_)) if type_ == "admin" else ("program", "")


def _conversation(record: dict[str, Any]) -> Iterator[Record]:
    id_ = identifier(record.get("id"))
    source = record.get("source")
    parts = objects(member(record, "conversation_parts", "conversation_parts"))
    authors = [each for each in (member(source, "author"), *(part.get("author") for part in parts)) if each]
    yield from _people(objects(authors))
    given = record.get("contacts")
    contacts = objects(member(given, "contacts") or given)
    known = [text(each.get("id")) for each in contacts]
    known += [text(member(each, "id")) for each in authors if _author(each)[0] == "customer"]
    if not any(known):
        raise BrokenRecord("has no contact")
    count = member(record, "conversation_parts", "total_count")
    is_whole = "conversation_parts" in record and not (isinstance(count, int) and count > len(parts))
    notes = [] if is_whole else ["the export does not have all parts of the conversation"]
    yield Conversation(
        id_,
        key("contact", next(filter(None, known))),
        _CHANNELS.get(text(member(source, "type")), "WEB"),
        _STATUSES.get(text(record.get("state")), "open"),
        in_order((_first(source, record.get("created_at"), notes), *(_part(each, notes) for each in parts))),
        inboxes=texts((record.get("team_assignee_id"), member(source, "type"))),
        subject=html_text(member(source, "subject"), notes),
        tags=texts(each.get("name") for each in objects(member(record, "tags", "tags"))),
        assignee_key=key("admin", record.get("admin_assignee_id")),
        notes=tuple(notes),
    )


def _first(source: object, created_at: object, notes: list[str]) -> Message:
    """The message with which a conversation began."""
    author, author_key = _author(member(source, "author"))
    files = texts(each.get("name") for each in objects(member(source, "attachments")))
    return Message(time_ms(created_at), html_text(member(source, "body"), notes), author, author_key, files=files)


def _part(part: dict[str, Any], notes: list[str]) -> Message:
    author, author_key = _author(part.get("author"))
    return Message(
        time_ms(part.get("created_at")),
        html_text(part.get("body"), notes),
        author,
        author_key,
        internal=part.get("part_type") in _NOTES,
        files=texts(each.get("name") for each in objects(part.get("attachments"))),
    )
