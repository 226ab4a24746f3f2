"""What the client sends to the routes of the inbox, and how it parses the responses."""

from collections.abc import Callable
from typing import Any

import pytest

from relay import ask, path_of
from shopbell_client import Shopbell, ThreadFilter
from shopbell_client.actions import ActionResult, NotChanged, UndoResult
from shopbell_client.drafts import SavedDraft
from shopbell_client.inbox import BusinessCount, InboxCounts, SavedViewCount, StartedConversation, ViewCounts

OK = {"result": "ok"}
PROFILE = {
    "id": "14",
    "type": "prospect",
    "editable": True,
    "pictureHref": None,
    "displayName": "Carol Jones",
    "emailAddress": "carol@example.com",
    "phoneNumber": None,
    "firstName": "Carol",
    "lastName": "Jones",
    "company": None,
    "channel": "WEB",
    "customerData": [],
    "lastSurveys": {"nps": None, "preferredChannel": None},
    "unverifiedEmailAddress": "jones@example.com",
    "unverifiedPhoneNumber": None,
    "createdAt": 1,
    "blockedAt": 2,
}
THREAD = {
    "customerThreadId": "12",
    "businessId": "13",
    "customerId": "14",
    "customerName": "Carol Jones",
    "channel": "WEB",
    "status": "waiting",
    "assigneeUserId": None,
    "waitingSince": 3,
    "lastMessageAt": 4,
    "preview": "Where is my bell?",
    "lastAuthor": "customer",
    "lastSequence": 5,
    "unread": True,
    "mentioned": False,
    "snoozedUntil": None,
    "tagIds": ["15"],
    "position": 6,
}
FILE = {
    "attachmentId": "16",
    "uuid": "5f0c3b0e",
    "name": "list of Carol.txt",
    "contentType": "text/plain",
    "lengthBytes": 7,
    "sha256": "ab",
    "createdAt": 8,
    "link": "https://chat.example.com/attachments/5f0c3b0e",
    "linkExpiresAt": 9,
}
DRAFT = {
    "draftId": "17",
    "customerThreadId": "12",
    "employeeUserId": None,
    "mode": "reply",
    "text": "Dear Carol",
    "attachments": [FILE],
    "updatedAt": 10,
    "byProgram": True,
}
SCHEDULED = {
    "scheduledMessageId": "18",
    "customerThreadId": "12",
    "employeeUserId": None,
    "text": "Dear Carol",
    "contentSid": None,
    "attachmentId": None,
    "channel": "EMAIL",
    "resolve": True,
    "createdAt": 11,
    "sendAt": 12,
    "state": "refused",
    "reason": "answered",
    "messageId": None,
}
SAVED_REPLY = {
    "savedReplyId": "19",
    "shortcut": "repair",
    "title": "Repairs",
    "text": "Dear Carol",
    "businessId": None,
    "attachments": [FILE],
    "updatedAt": 13,
}
TAG = {"tagId": "15", "name": "Repair", "color": None, "createdAt": 14}
OPENED = {
    "thread": THREAD,
    "customer": PROFILE,
    "messages": [],
    "hasMore": True,
    "readSequence": 1,
    "customerReadSequence": 0,
    "drafts": [DRAFT],
    "scheduledMessages": [SCHEDULED],
    "activities": [
        {
            "type": "assignment",
            "at": 15,
            "afterSequence": 2,
            "actorUserId": "20",
            "actorName": "Alice",
            "details": {"employeeUserId": "20"},
        }
    ],
    "viewers": [{"employeeUserId": "20", "state": "writing"}],
    "isMessagingWindowOpen": True,
    "otherThreads": [THREAD],
    "possibleDuplicates": [{"customerId": "21", "displayName": "C. Jones"}],
    "streamPosition": 16,
}


def test_the_list_is_parsed_and_its_repr_has_no_personal_data() -> None:
    (thread,), server, _ = ask(
        {"threads": [THREAD], "nextCursor": None},
        lambda shop: list(shop.inbox_threads("mine", employee_user_id=20, tag_id="15", sort="recent", page_size=50)),
    )
    assert path_of(server) == "GET /api/inbox/threads?view=mine&tagId=15&sort=recent&employeeUserId=20&limit=50"
    assert (thread.id, thread.waiting_since_ms, thread.last_message_at_ms, thread.tag_ids) == ("12", 3, 4, ("15",))
    assert (thread.customer_name, thread.preview, thread.snoozed_until_ms) == ("Carol Jones", "Where is my bell?", None)
    assert not [word for word in ("Carol", "bell") if word in repr(thread)]


def test_single_conversations_are_listed() -> None:
    empty = {"threads": [], "nextCursor": None}
    _, server, _ = ask(empty, lambda shop: list(shop.inbox_threads(thread_ids=["12", 13])))
    assert path_of(server) == "GET /api/inbox/threads?view=needs-reply&customerThreadId=12&customerThreadId=13"
    with Shopbell("http://127.0.0.1:8080", "token") as shop, pytest.raises(ValueError, match="thread_ids is empty"):
        shop.inbox_threads(thread_ids=[])


def test_counts_are_parsed() -> None:
    views = {"needs-reply": 1, "mine": 2, "unassigned": 3, "mentions": 4, "snoozed": 5, "open": 6}
    counts = {
        "views": views,
        "businesses": [{"businessId": "13", "needsReply": 1}],
        "savedViews": [{"savedViewId": "22", "count": 7}],
    }
    result, server, _ = ask(counts, lambda shop: shop.inbox_counts(employee_user_id="20"))
    assert path_of(server) == "GET /api/inbox/counts?employeeUserId=20"
    assert result == InboxCounts(
        views=ViewCounts(needs_reply=1, mine=2, unassigned=3, mentions=4, snoozed=5, open=6),
        businesses=(BusinessCount("13", 1),),
        saved_views=(SavedViewCount("22", 7),),
    )


def test_an_opened_conversation_is_parsed_and_its_repr_has_no_personal_data() -> None:
    opened, server, _ = ask(OPENED, lambda shop: shop.open_inbox_thread("12"))
    assert path_of(server) == "GET /api/inbox/threads/12"
    assert (opened.thread, opened.other_threads) == (opened.other_threads[0], (opened.thread,))
    assert opened.customer is not None
    assert (opened.customer.display_name, opened.customer.blocked_at_ms) == ("Carol Jones", 2)
    assert (opened.drafts[0].id, opened.drafts[0].attachments[0].link_expires_at_ms) == ("17", 9)
    assert (opened.scheduled_messages[0].state, opened.scheduled_messages[0].reason) == ("refused", "answered")
    assert (opened.activities[0].at_ms, opened.activities[0].details) == (15, {"employeeUserId": "20"})
    assert (opened.viewers[0].state, opened.possible_duplicates[0].customer_id) == ("writing", "21")
    assert not [word for word in ("Carol", "Jones", "jones", "Alice", "bell") if word in repr(opened)]
    alone, _, _ = ask(OPENED | {"customer": None}, lambda shop: shop.open_inbox_thread("12"))
    assert alone.customer is None


def test_a_conversation_is_started_with_a_key() -> None:
    result, server, body = ask(
        {"customerThreadId": "12", "messageId": "23"},
        lambda shop: shop.start_conversation("13", "Hello", email="carol@example.com", first_name="Carol"),
    )
    assert path_of(server) == "POST /api/inbox/start-conversation"
    assert body == {
        "businessId": "13",
        "text": "Hello",
        "emailAddress": "carol@example.com",
        "firstName": "Carol",
    }
    assert server.keys != [None]
    assert result == StartedConversation("12", "23", replayed=False)


RESULT = {
    "actionId": "24",
    "changed": 1,
    "unchanged": 2,
    "failed": [{"customerThreadId": "12", "error": "It is resolved."}],
    "failedCount": 1,
    "position": 4711,
}


@pytest.mark.parametrize(
    ("call", "sent"),
    [
        (
            lambda shop: shop.change_threads("status", ["12", 13], status="resolved"),
            {"action": {"type": "status", "status": "resolved"}, "customerThreadIds": ["12", 13]},
        ),
        (
            lambda shop: shop.change_threads("assign", ThreadFilter(business_id=13), employee_user_id="20"),
            {
                "action": {"type": "assign"},
                "filter": {"view": "needs-reply", "businessId": 13},
                "employeeUserId": "20",
            },
        ),
        (
            lambda shop: shop.change_threads("tags", ["12"], add_tag_ids=("15",), remove_tag_ids=[]),
            {"action": {"type": "tags", "addTagIds": ["15"], "removeTagIds": []}, "customerThreadIds": ["12"]},
        ),
        (
            lambda shop: shop.change_threads("snooze", ["12"], until_ms=9, keep=True),
            {"action": {"type": "snooze", "until": 9, "keep": True}, "customerThreadIds": ["12"]},
        ),
        (
            lambda shop: shop.change_threads("transfer", ["12"], business_id="13"),
            {"action": {"type": "transfer", "businessId": "13"}, "customerThreadIds": ["12"]},
        ),
    ],
)
def test_many_conversations_are_changed_with_a_key(call: Callable[[Shopbell], Any], sent: dict[str, Any]) -> None:
    result, server, body = ask(RESULT, call)
    assert path_of(server) == "POST /api/inbox/bulk"
    assert (body, server.keys == [None]) == (sent, False)
    failed = (NotChanged(thread_id="12", error="It is resolved."),)
    assert result == ActionResult(action_id="24", changed=1, unchanged=2, failed=failed, failed_count=1, position=4711)


def test_an_action_is_undone() -> None:
    response = {"actionId": "25", "reversed": 1, "skipped": 0, "skippedThreads": [], "position": 4712}
    result, server, body = ask(response, lambda shop: shop.undo_action("24", employee_user_id="20"))
    assert (path_of(server), body) == ("POST /api/inbox/undo", {"actionId": "24", "employeeUserId": "20"})
    assert result == UndoResult(action_id="25", reversed=1, skipped=0, skipped_threads=(), position=4712)


def test_an_empty_draft_is_deleted() -> None:
    response = {"draftId": None, "updatedAt": 1}
    result, server, body = ask(response, lambda shop: shop.save_draft("12", "", mode="note", employee_user_id="20"))
    assert path_of(server) == "POST /api/inbox/drafts"
    assert body == {
        "customerThreadId": "12",
        "mode": "note",
        "text": "",
        "attachmentIds": [],
        "employeeUserId": "20",
    }
    assert result == SavedDraft(id=None, updated_at_ms=1)


@pytest.mark.parametrize(
    ("call", "response", "path", "sent"),
    [
        (lambda shop: shop.take_over_draft("17", "20"), DRAFT, "inbox/drafts/17/take-over", {"employeeUserId": "20"}),
        (lambda shop: shop.delete_draft("17"), OK, "inbox/drafts/17/delete", {}),
        (
            lambda shop: shop.snooze_thread("12", 9),
            OK,
            "inbox/snooze",
            {"customerThreadId": "12", "until": 9, "keep": False},
        ),
        (
            lambda shop: shop.unsnooze_thread("12", employee_user_id="20"),
            OK,
            "inbox/unsnooze",
            {"customerThreadId": "12", "employeeUserId": "20"},
        ),
        (lambda shop: shop.create_tag("Repair", color="#8f4f00"), TAG, "tags", {"name": "Repair", "color": "#8f4f00"}),
        (lambda shop: shop.update_tag("15", color=""), OK, "tags/15/update", {"color": ""}),
        (lambda shop: shop.delete_tag("15"), OK, "tags/15/delete", {}),
        (
            lambda shop: shop.set_thread_tags("12", add=["15"]),
            OK,
            "tags/set-on-thread",
            {"customerThreadId": "12", "addTagIds": ["15"], "removeTagIds": []},
        ),
        (
            lambda shop: shop.create_saved_reply("repair", "Repairs", "Dear {{first_name}}", attachment_ids=["16"]),
            SAVED_REPLY,
            "saved-replies",
            {
                "shortcut": "repair",
                "title": "Repairs",
                "text": "Dear {{first_name}}",
                "attachmentIds": ["16"],
            },
        ),
        (
            lambda shop: shop.update_saved_reply("19", all_businesses=True, attachment_ids=()),
            OK,
            "saved-replies/19/update",
            {"allBusinesses": True, "attachmentIds": []},
        ),
        (lambda shop: shop.delete_saved_reply("19"), OK, "saved-replies/19/delete", {}),
        (
            lambda shop: shop.schedule_message("12", "Dear Carol", delay_ms=0),
            {"scheduledMessageId": "18", "sendAt": 12},
            "scheduled-messages",
            {"customerThreadId": "12", "text": "Dear Carol", "delayMs": 0, "resolve": False},
        ),
        (
            lambda shop: shop.update_scheduled_message("18", last_seen_message_id="23", send_at_ms=9),
            SCHEDULED,
            "scheduled-messages/18/update",
            {"lastSeenMessageId": "23", "sendAt": 9},
        ),
        (lambda shop: shop.cancel_scheduled_message("18"), SCHEDULED, "scheduled-messages/18/cancel", {}),
    ],
)
def test_only_the_given_fields_are_sent(
    call: Callable[[Shopbell], Any], response: dict[str, Any], path: str, sent: dict[str, Any]
) -> None:
    result, server, body = ask(response, call)
    assert (path_of(server), body) == (f"POST /api/{path}", sent)
    assert "Carol" not in repr(result)


@pytest.mark.parametrize(
    ("call", "name", "item", "path"),
    [
        (lambda shop: shop.drafts(employee_user_id="20"), "drafts", DRAFT, "inbox/drafts?employeeUserId=20"),
        (lambda shop: shop.tags(page_size=9), "tags", TAG, "tags?limit=9"),
        (lambda shop: shop.saved_replies(business_id=13), "savedReplies", SAVED_REPLY, "saved-replies?businessId=13"),
        (
            lambda shop: shop.scheduled_messages(thread_id="12", state="refused"),
            "scheduledMessages",
            SCHEDULED,
            "scheduled-messages?customerThreadId=12&state=refused",
        ),
    ],
)
def test_lists_are_parsed(call: Callable[[Shopbell], Any], name: str, item: dict[str, Any], path: str) -> None:
    (found,), server, _ = ask({name: [item], "nextCursor": None}, lambda shop: list(call(shop)))
    assert path_of(server) == f"GET /api/{path}"
    assert found.id in item.values()
    assert "Carol" not in repr(found)
