"""Read the JSON export of Zendesk Support, and pages of its API.

The export has one object per line: one file with tickets and their comments, one with users.

- "Exporting data to a JSON, CSV, or XML file": https://support.zendesk.com/hc/en-us/articles/4408886165402
- Tickets: https://developer.zendesk.com/api-reference/ticketing/tickets/tickets/
- Comments: https://developer.zendesk.com/api-reference/ticketing/tickets/ticket_comments/
- Users: https://developer.zendesk.com/api-reference/ticketing/users/users/
"""

from collections.abc import Iterator
from typing import Any

from shopbell.imports.model import Conversation, Message, Person, Record, SkippedRecord, Status
from shopbell.imports.values import html_text, identifier, in_order, items, key, member, objects, text, texts, time_ms

_STATUSES: dict[str, Status] = {
    "new": "waiting",
    "open": "waiting",
    "pending": "replied",
    "hold": "replied",
    "solved": "resolved",
    "closed": "resolved",
}
_CHANNELS = {"sms": "SMS", "whatsapp": "WHATSAPP"} | dict.fromkeys(("chat", "native_messaging", "messaging"), "WEB")
"""By ``via.channel``. Zendesk answers all other tickets by email."""

_STAFF = ("agent", "admin")
_SYSTEM = "-1"
"""The id of Zendesk as an author."""


def records(line: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The records of a line: those of a page, or the line."""
    return items(line, "tickets", "users")


def read(record: dict[str, Any]) -> Iterator[Record]:
    """Read a ticket or a user.

    Raises:
        BrokenRecord: it does not follow the format.
        SkippedRecord: it is neither, or it was deleted.
    """
    if "requester_id" in record or "requester" in record:
        yield from _ticket(record)
    elif "role" in record:
        yield _user(record, is_employee=record["role"] in _STAFF)
    else:
        raise SkippedRecord("neither a ticket nor a user")


def _user(record: dict[str, Any], *, is_employee: bool) -> Person:
    return Person(
        key("user", identifier(record.get("id"))),
        name=text(record.get("name")),
        email=text(record.get("email")),
        phone=text(record.get("phone")),
        locale=text(record.get("locale")),
        is_employee=is_employee,
    )


def _ticket(record: dict[str, Any]) -> Iterator[Record]:
    id_ = identifier(record.get("id"))
    if record.get("status") == "deleted":
        raise SkippedRecord("deleted in Zendesk")
    requester, assignee = record.get("requester"), record.get("assignee")
    if isinstance(requester, dict):
        yield _user(requester, is_employee=False)
    if isinstance(assignee, dict):
        yield _user(assignee, is_employee=True)
    customer_key = key("user", identifier(record.get("requester_id") or member(requester, "id")))
    has_comments = isinstance(record.get("comments"), list)
    comments = objects(record.get("comments")) if has_comments else [_description(record)]
    notes = [] if has_comments else ["the export has no comments: only the description is imported"]
    yield Conversation(
        id_,
        customer_key,
        _CHANNELS.get(text(member(record, "via", "channel")), "EMAIL"),
        _STATUSES.get(text(record.get("status")), "open"),
        in_order(_message(each, customer_key, notes) for each in comments),
        inboxes=texts(
            (
                *(record.get(name) for name in ("group_id", "brand_id", "recipient")),
                *(member(record, name, part) for name in ("group", "brand") for part in ("id", "name")),
            )
        ),
        subject=text(record.get("subject")),
        tags=texts(record["tags"]) if isinstance(record.get("tags"), list) else (),
        assignee_key=key("user", record.get("assignee_id") or member(assignee, "id")),
        notes=tuple(notes),
    )


def _description(record: dict[str, Any]) -> dict[str, Any]:
    """The first comment of a ticket whose comments are not in the file."""
    author_id = record.get("requester_id") or member(record, "requester", "id")
    return {"author_id": author_id, "plain_body": record.get("description"), "created_at": record.get("created_at")}


def _message(comment: dict[str, Any], customer_key: str, notes: list[str]) -> Message:
    body = text(comment.get("plain_body")).replace("&nbsp;", " ") or text(comment.get("body"))
    author_key = key("user", comment.get("author_id"))
    is_system = author_key in ("", key("user", _SYSTEM))
    return Message(
        time_ms(comment.get("created_at")),
        body or html_text(comment.get("html_body"), notes),
        "program" if is_system else "customer" if author_key == customer_key else None,
        author_key,
        internal=comment.get("public") is False,
        files=texts(each.get("file_name") for each in objects(comment.get("attachments"))),
    )
