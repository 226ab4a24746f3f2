"""Read conversations of FreeScout as its API describes them, one JSON object or one page of them per line.

FreeScout has no export of conversations. ``docs/import.md`` says how to get this file from its API, which the module
"API & Webhooks" adds: https://api-docs.freescout.net/ ("Get Conversation" with its threads, "List Customers", "List
Users").
"""

from collections.abc import Iterator
from typing import Any

from shopbell.imports.model import BrokenRecord, Conversation, Kind, Message, Person, Record, SkippedRecord, Status
from shopbell.imports.values import html_text, identifier, in_order, items, key, member, objects, text, texts, time_ms

_STATUSES: dict[str, Status] = {"active": "open", "pending": "replied", "closed": "resolved"}
_TYPES: dict[str, Kind] = {"customer": "customer", "message": "employee", "note": "employee", "phone": "employee"}
"""By the type of a thread, as FreeScout calls messages. Threads of other types only describe what happened."""

_INTERNAL = ("note", "phone")
_STAFF = ("user", "admin")


def records(line: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The records of a line: those of a page, or the line."""
    pages = member(line, "_embedded")
    names = ("conversations", "customers", "users")
    return items(pages, *names) if isinstance(pages, dict) and any(name in pages for name in names) else iter((line,))


def read(record: dict[str, Any]) -> Iterator[Record]:
    """Read a conversation, a customer or a user.

    Raises:
        BrokenRecord: it does not follow the format.
        SkippedRecord: it is none of them, or it is spam, a draft or deleted.
    """
    if "mailboxId" in record:
        yield from _conversation(record)
    elif record.get("role") in _STAFF:
        yield _person(record, "user")
    elif "firstName" in record:
        yield _person(record, "customer")
    else:
        raise SkippedRecord("neither a conversation nor a customer or user")


def _person(record: dict[str, Any], kind: str) -> Person:
    names = (text(record.get("firstName")), text(record.get("lastName")))
    email, phone = (objects(member(record, "_embedded", name)) for name in ("emails", "phones"))
    return Person(
        key(kind, identifier(record.get("id"))),
        name=" ".join(filter(None, names)),
        email=text(record.get("email")) or text(email[0].get("value") if email else None),
        phone=text(phone[0].get("value") if phone else None),
        company=text(record.get("company")),
        is_employee=kind == "user",
    )


def _conversation(record: dict[str, Any]) -> Iterator[Record]:
    id_ = identifier(record.get("id"))
    if record.get("status") == "spam":
        raise SkippedRecord("spam")
    if record.get("state") in ("deleted", "draft"):
        raise SkippedRecord("deleted, or a draft")
    customer, assignee = record.get("customer"), record.get("assignee")
    if not isinstance(customer, dict):
        raise BrokenRecord("has no customer")
    threads = objects(member(record, "_embedded", "threads"))
    notes: list[str] = []
    yield _person(customer, "customer")
    for employee in (assignee, *(each.get("createdBy") for each in threads)):
        if isinstance(employee, dict) and employee.get("type", "user") == "user":
            yield _person(employee, "user")
    yield Conversation(
        id_,
        key("customer", customer.get("id")),
        "WEB" if record.get("type") == "chat" else "EMAIL",
        _STATUSES.get(text(record.get("status")), "open"),
        in_order(found for each in threads if (found := _message(each, notes))),
        inboxes=texts((record.get("mailboxId"), member(record, "mailbox", "name"), member(record, "mailbox", "email"))),
        subject=text(record.get("subject")),
        tags=texts(each.get("name") for each in objects(member(record, "_embedded", "tags"))),
        assignee_key=key("user", member(assignee, "id")),
        notes=tuple(notes),
    )


def _message(thread: dict[str, Any], notes: list[str]) -> Message | None:
    type_ = text(thread.get("type"))
    author = _TYPES.get(type_)
    if author is None or thread.get("state", "published") != "published":
        return None
    return Message(
        time_ms(thread.get("createdAt")),
        html_text(thread.get("body"), notes),
        author,
        key("user" if author == "employee" else "customer", member(thread, "createdBy", "id")),
        internal=type_ in _INTERNAL,
        files=texts(each.get("fileName") for each in objects(member(thread, "_embedded", "attachments"))),
    )
