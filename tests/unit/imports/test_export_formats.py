"""Exports of other products are read as their documentation describes them."""

import copy
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from shopbell.imports.formats import FORMATS
from shopbell.imports.model import BrokenRecord, Conversation, Message, Person, SkippedRecord

SPRING_MS = 1_700_000_000_000

_EXAMPLES = Path(__file__).parent / "examples"
TICKET, INTERCOM, CHATWOOT, FREESCOUT = (
    json.loads((_EXAMPLES / f"{product}.json").read_text())
    for product in ("zendesk", "intercom", "chatwoot", "freescout")
)
"""A conversation of each product, as its documentation describes it."""


def read(product: str, line: Mapping[str, Any]) -> list[Person | Conversation]:
    """What a line contains."""
    format_ = FORMATS[product]
    parsed = json.loads(json.dumps(line))
    return [each for record in format_.records(parsed) for each in format_.read(record)]


def conversation(product: str, line: Mapping[str, Any]) -> Conversation:
    """The only conversation of a line."""
    (found,) = (each for each in read(product, line) if isinstance(each, Conversation))
    return found


def people(product: str, line: Mapping[str, Any]) -> dict[str, Person]:
    """The people of a line, by their keys; of several records of one, that with the most."""
    found = sorted((each for each in read(product, line) if isinstance(each, Person)), key=lambda each: len(each.email))
    return {each.key: each for each in found}


def said(found: Conversation) -> list[tuple[str | None, str, bool]]:
    """Author, text and whether it is a note, of each message."""
    return [(each.author, each.text, each.internal) for each in found.messages]


def test_a_zendesk_ticket() -> None:
    found = conversation("zendesk", TICKET)
    # Only a file with users tells who is an employee.
    assert said(found) == [
        ("customer", "Hello, where is it?", False),
        (None, "On its way.", False),
        (None, "Call\xa0them".replace("\xa0", " "), True),
        ("program", "Rate us", False),
    ]
    assert [each.at_ms for each in found.messages][:2] == [SPRING_MS, SPRING_MS + 60_000]
    assert found.messages[1].files == ("label.pdf",)
    assert (found.id, found.customer_key, found.assignee_key) == ("35436", "user:20978392", "user:235323")
    assert (found.channel, found.status, found.subject) == ("EMAIL", "resolved", "Where is my order?")
    assert found.tags == ("delivery", "vip")
    assert set(found.inboxes) == {"98738", "123", "support@acme.example"}


def test_a_zendesk_user_and_people_in_a_ticket() -> None:
    user = {"id": 235323, "name": "Alice", "email": "alice@acme.example", "role": "agent", "locale": "en-US"}
    assert read("zendesk", user) == [
        Person("user:235323", "Alice", "alice@acme.example", locale="en-US", is_employee=True)
    ]
    requester = {"id": 20978392, "name": "Carol Jones", "email": "carol@example.com"}
    assert people("zendesk", TICKET | {"requester": requester})["user:20978392"] == Person(
        "user:20978392", "Carol Jones", "carol@example.com"
    )


def test_a_zendesk_ticket_without_comments_has_its_description() -> None:
    found = conversation("zendesk", {name: value for name, value in TICKET.items() if name != "comments"})
    assert said(found) == [("customer", "Hello, where is it?", False)]
    assert found.notes == ("the export has no comments: only the description is imported",)


@pytest.mark.parametrize(
    ("status", "expected"),
    [("new", "waiting"), ("open", "waiting"), ("pending", "replied"), ("hold", "replied"), ("closed", "resolved")],
)
def test_the_statuses_of_zendesk(status: str, expected: str) -> None:
    assert conversation("zendesk", TICKET | {"status": status}).status == expected


@pytest.mark.parametrize(("channel", "expected"), [("chat", "WEB"), ("whatsapp", "WHATSAPP"), ("web", "EMAIL")])
def test_the_channels_of_zendesk(channel: str, expected: str) -> None:
    assert conversation("zendesk", TICKET | {"via": {"channel": channel}}).channel == expected


def test_an_intercom_conversation() -> None:
    found = conversation("intercom", INTERCOM)
    assert said(found) == [
        ("customer", "Hello,\n\nwhere is it?", False),
        ("employee", "On its way.", False),
        ("employee", "Called them", True),
        ("program", "Rate us", False),
    ]
    assert (found.customer_key, found.assignee_key, found.channel) == ("contact:6762f", "admin:274", "EMAIL")
    assert (found.status, found.subject, found.tags) == ("resolved", "My order", ("delivery",))
    assert "5" in found.inboxes
    assert found.messages[0].files == ("photo.jpg",)
    assert people("intercom", INTERCOM) == {
        "contact:6762f": Person("contact:6762f", "Carol Jones", "carol@example.com"),
        "admin:274": Person("admin:274", "Alice", "alice@acme.example", is_employee=True),
    }


def test_an_intercom_conversation_without_all_parts_says_so() -> None:
    parts = {"total_count": 501, "conversation_parts": []}
    assert conversation("intercom", INTERCOM | {"conversation_parts": parts}).notes
    assert conversation(
        "intercom", {key: value for key, value in INTERCOM.items() if key != "conversation_parts"}
    ).notes
    assert not conversation("intercom", INTERCOM).notes


def test_a_chatwoot_conversation() -> None:
    found = conversation("chatwoot", CHATWOOT)
    assert said(found) == [
        ("customer", "Where is it?", False),
        ("employee", "On its way.", False),
        ("employee", "Called them", True),
        ("program", "Rate us", False),
    ]
    assert (found.customer_key, found.assignee_key, found.channel) == ("contact:8", "user:2", "EMAIL")
    assert (found.status, found.subject, found.tags, found.inboxes) == ("open", "My order", ("delivery",), ("3",))
    assert found.messages[0].files == ("photo.jpg",)
    assert people("chatwoot", CHATWOOT) == {
        "contact:8": Person("contact:8", "Carol Jones", "carol@example.com", "+16175550100", "Jones Ltd"),
        "user:2": Person("user:2", "Alice", "alice@acme.example", is_employee=True),
    }


def test_a_freescout_conversation() -> None:
    found = conversation("freescout", FREESCOUT)
    assert said(found) == [
        ("customer", "Where is it?", False),
        ("employee", "On its way.", False),
        ("employee", "Called them", True),
    ]
    assert (found.customer_key, found.assignee_key, found.channel) == ("customer:8", "user:2", "EMAIL")
    assert (found.status, found.subject, found.tags, found.inboxes) == ("replied", "My order", ("delivery",), ("7",))
    assert found.messages[0].files == ("photo.jpg",)
    assert people("freescout", FREESCOUT) == {
        "customer:8": Person("customer:8", "Carol Jones", "carol@example.com"),
        "user:2": Person("user:2", "Alice", "alice@acme.example", is_employee=True),
    }


@pytest.mark.parametrize(
    ("product", "line", "path"),
    [
        ("zendesk", TICKET, ("comments", 2, "html_body")),
        ("intercom", INTERCOM, ("source", "subject")),
        ("intercom", INTERCOM, ("source", "body")),
        ("intercom", INTERCOM, ("conversation_parts", "conversation_parts", 0, "body")),
        ("freescout", FREESCOUT, ("_embedded", "threads", 0, "body")),
    ],
)
@pytest.mark.parametrize("long", ["<p>Hello</p>" + "<br>" * 10_000 + "lost", "<p>Hello</p>" + "x" * 1_000_000])
def test_a_text_in_html_that_is_not_read_to_its_end_is_reported(
    product: str, line: Mapping[str, Any], path: tuple[str | int, ...], long: str
) -> None:
    changed = copy.deepcopy(line)
    _set(changed, path, long)
    assert conversation(product, line).notes == ()
    assert conversation(product, changed).notes == ("its HTML is too long: only the beginning is imported",)


@pytest.mark.parametrize(
    ("product", "page"),
    [
        ("zendesk", {"tickets": [TICKET, TICKET], "next_page": None, "count": 2}),
        ("intercom", {"type": "conversation.list", "conversations": [INTERCOM, INTERCOM], "total_count": 2}),
        ("chatwoot", {"data": {"meta": {"all_count": 2}, "payload": [CHATWOOT, CHATWOOT]}}),
        ("freescout", {"_embedded": {"conversations": [FREESCOUT, FREESCOUT]}, "page": {"size": 50}}),
    ],
)
def test_a_line_may_be_a_page_of_the_api(product: str, page: Mapping[str, Any]) -> None:
    assert len([each for each in read(product, page) if isinstance(each, Conversation)]) == 2


@pytest.mark.parametrize(
    ("product", "line"),
    [
        ("zendesk", {"id": 1, "name": "A group"}),
        ("zendesk", TICKET | {"status": "deleted"}),
        ("intercom", {"type": "company", "id": "1"}),
        ("chatwoot", {"id": 1, "channel_type": "Channel::Api"}),
        ("freescout", {"id": 1, "name": "A mailbox"}),
        ("freescout", FREESCOUT | {"status": "spam"}),
        ("freescout", FREESCOUT | {"state": "deleted"}),
    ],
)
def test_other_records_are_skipped(product: str, line: Mapping[str, Any]) -> None:
    with pytest.raises(SkippedRecord):
        read(product, line)


@pytest.mark.parametrize(
    ("product", "line", "what"),
    [
        ("zendesk", TICKET | {"id": None}, "has no id"),
        ("zendesk", TICKET | {"requester_id": None}, "has no id"),
        ("zendesk", TICKET | {"comments": []}, "has no messages"),
        ("zendesk", TICKET | {"comments": [{"author_id": 1, "body": "x", "created_at": "soon"}]}, "ISO 8601"),
        ("zendesk", TICKET | {"comments": [{"author_id": 1, "body": "x"}]}, "no valid time"),
        ("intercom", INTERCOM | {"source": None, "contacts": None, "conversation_parts": None}, "has no contact"),
        ("intercom", INTERCOM | {"created_at": -5}, "no valid time"),
        ("intercom", INTERCOM | {"created_at": 10**400}, "no valid time"),
        ("intercom", INTERCOM | {"created_at": float("nan")}, "no valid time"),
        ("chatwoot", CHATWOOT | {"meta": []}, "has no contact"),
        ("chatwoot", CHATWOOT | {"messages": "none"}, "has no messages"),
        ("freescout", FREESCOUT | {"customer": None}, "has no customer"),
        ("freescout", FREESCOUT | {"_embedded": {}}, "has no messages"),
    ],
)
def test_a_broken_record_is_refused_without_its_data(product: str, line: Mapping[str, Any], what: str) -> None:
    with pytest.raises(BrokenRecord, match=what) as refused:
        read(product, line)
    assert "example" not in str(refused.value)


@pytest.mark.parametrize(
    ("product", "line"),
    [("zendesk", TICKET), ("intercom", INTERCOM), ("chatwoot", CHATWOOT), ("freescout", FREESCOUT)],
)
def test_values_of_other_types_never_end_an_import(product: str, line: Mapping[str, Any]) -> None:
    for path in _paths(line):
        for value in (None, True, 7, 1.5, "x", [], [1], {}, {"x": 1}, "\ud800\0"):
            changed = json.loads(json.dumps(line))
            _set(changed, path, value)
            format_ = FORMATS[product]
            try:
                found = [each for record in format_.records(changed) for each in format_.read(record)]
            except (BrokenRecord, SkippedRecord):
                continue
            assert all(isinstance(each, Person | Conversation) for each in found)
            for each in found:
                if isinstance(each, Conversation):
                    assert all(isinstance(message, Message) and "\0" not in message.text for message in each.messages)


def _paths(value: object, path: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    if isinstance(value, dict | list):
        pairs = value.items() if isinstance(value, dict) else enumerate(value)
        return [path, *(each for key, part in pairs for each in _paths(part, (*path, key)))][0 if path else 1 :]
    return [path]


def _set(whole: Any, path: tuple[str | int, ...], value: object) -> None:
    *parents, last = path
    for each in parents:
        whole = whole[each]
    whole[last] = value
