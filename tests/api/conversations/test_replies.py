"""``POST /api/send-message-to-customer-thread``: the organization replies."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx2

from harness.shop import Shop, faults_of

SEND = "/api/send-message-to-customer-thread"
DAY_MS = 24 * 60 * 60 * 1_000


def _send(shop: Shop, thread_id: str | int, key: str | None = None, **fields: Any) -> httpx2.Response:
    body = {"customerThreadId": thread_id, "text": "We look into it."} | fields
    return shop.post(body, path=SEND, headers={"Idempotency-Key": key} if key else None)


def test_a_reply_is_stored_in_the_conversation_and_returns_its_id(shop: Shop) -> None:
    thread_id = shop.send()
    for form in (thread_id, int(thread_id)):
        answer = _send(shop, form)
        assert answer.status_code == 200, answer.text
        assert answer.json() == {"result": "ok", "messageId": str(shop.messages(thread_id)[-1]["id"])}
        assert "ratelimit" in answer.headers
    _, reply, _ = shop.messages(thread_id)
    assert (reply["body"], reply["from_customer"], reply["internal"]) == ("We look into it.", False, False)
    assert shop.thread(thread_id)["status"] == "replied"
    assert shop.thread(thread_id)["last_sequence"] == 3


def test_an_internal_message_is_a_note_and_changes_no_status(shop: Shop) -> None:
    thread_id = shop.send()
    assert _send(shop, thread_id, internal=True).status_code == 200
    assert shop.messages(thread_id)[-1]["internal"] == True  # noqa: E712 - SQLite has no booleans
    assert shop.thread(thread_id)["status"] == "waiting"


def test_exactly_one_of_text_and_template_is_required(shop: Shop) -> None:
    thread_id = shop.send()
    both, neither = _send(shop, thread_id, contentSid="HX1"), _send(shop, thread_id, text=None)
    for answer in (both, neither):
        assert faults_of(answer) == {("body", "#", "exactly_one_required")}
    nothing = shop.post({}, path=SEND)
    assert faults_of(nothing) == {
        ("body", "#/customerThreadId", "required"),
        ("body", "#", "exactly_one_required"),
    }
    more = _send(shop, thread_id, contentSid="HX1", internal="yes", key="two words")
    assert faults_of(more) == {
        ("header", "idempotency-key", "invalid_character"),
        ("body", "#/internal", "type"),
        ("body", "#", "exactly_one_required"),
    }
    assert len(shop.messages(thread_id)) == 1


def test_a_reply_to_another_organizations_conversation_is_404(shop: Shop) -> None:
    globex = shop.send(token=shop.world.globex_token, businessId=shop.world.london)
    told = {_send(shop, id_).json()["developerMessage"] for id_ in (globex, "1", 2**53 - 1)}
    assert told == {"Resource not found"}
    assert len(shop.messages(globex)) == 1


def test_a_stale_reply_is_409_and_sends_nothing(shop: Shop) -> None:
    thread_id = shop.send()
    seen = str(shop.messages(thread_id)[0]["id"])
    assert _send(shop, thread_id, lastSeenMessageId=seen, internal=True).status_code == 200
    assert _send(shop, thread_id, lastSeenMessageId=seen).status_code == 200  # a note is no answer
    body = {"customerThreadId": thread_id, "text": "So do we.", "lastSeenMessageId": seen}
    late = shop.post(body, path=SEND, token=shop.world.second_token)
    assert late.status_code == 409
    assert late.json()["type"] == "/problems/conflict"
    newest = str(shop.messages(thread_id)[-1]["id"])
    answer = shop.post(body | {"lastSeenMessageId": newest}, path=SEND, token=shop.world.second_token)
    assert answer.status_code == 200
    assert _send(shop, thread_id, lastSeenMessageId=newest).status_code == 409
    assert len(shop.messages(thread_id)) == 4


def test_two_replies_by_the_same_author_do_not_conflict(shop: Shop) -> None:
    thread_id = shop.send()
    seen = str(shop.messages(thread_id)[0]["id"])
    for _ in range(3):
        assert _send(shop, thread_id, lastSeenMessageId=seen).status_code == 200
    body = {"customerThreadId": thread_id, "text": "Me too.", "lastSeenMessageId": seen}
    assert shop.post(body, path=SEND, token=shop.world.second_token).status_code == 409
    body.pop("lastSeenMessageId")
    assert shop.post(body, path=SEND, token=shop.world.second_token).status_code == 200
    assert _send(shop, thread_id, lastSeenMessageId=seen).status_code == 409


def test_of_concurrent_stale_replies_only_those_of_one_author_are_sent(shop: Shop) -> None:
    thread_id = shop.send()
    seen = str(shop.messages(thread_id)[0]["id"])
    tokens = [shop.world.token, shop.world.second_token] * 10
    with ThreadPoolExecutor(len(tokens)) as pool:
        body = {"customerThreadId": thread_id, "text": "First!", "lastSeenMessageId": seen}
        statuses = list(pool.map(lambda token: shop.post(body, path=SEND, token=token).status_code, tokens))
    by_token = [{status for status, its in zip(statuses, tokens, strict=True) if its == token} for token in tokens[:2]]
    assert sorted(map(sorted, by_token)) == [[200], [409]]
    assert len(shop.messages(thread_id)) == 11


def test_a_replayed_template_reply_succeeds_after_the_template_changed(shop: Shop) -> None:
    thread_id = shop.send()
    template = shop.post({"title": "Ready", "text": "It is ready."}, path="/api/templates").json()
    key = shop.somebody()
    first = _send(shop, thread_id, key, text=None, contentSid=template["contentSid"])
    assert shop.post({}, path=f"/api/templates/{template['id']}/delete").status_code == 200
    again = _send(shop, thread_id, key, text=None, contentSid=template["contentSid"])
    assert (again.status_code, again.json()) == (200, first.json())
    assert _send(shop, thread_id, text=None, contentSid=template["contentSid"]).status_code == 404


def test_a_template_id_has_only_letters_and_digits(shop: Shop) -> None:
    answer = _send(shop, shop.send(), text=None, contentSid="\0")
    assert faults_of(answer) == {("body", "#/contentSid", "invalid_format")}


def test_a_message_of_another_conversation_cannot_be_the_last_seen(shop: Shop) -> None:
    elsewhere = str(shop.messages(shop.send())[0]["id"])
    answer = _send(shop, shop.send(), lastSeenMessageId=elsewhere)
    assert faults_of(answer) == {("body", "#/lastSeenMessageId", "invalid_value")}


def test_a_replayed_reply_has_no_second_effect(shop: Shop) -> None:
    thread_id = shop.send()
    key = shop.somebody()
    first, second = _send(shop, thread_id, key), _send(shop, thread_id, key)
    assert first.json() == second.json()
    assert second.headers["idempotent-replayed"] == "true"
    assert _send(shop, thread_id, key, text="Something else").status_code == 422
    assert len(shop.messages(thread_id)) == 2


def test_on_whatsapp_free_text_is_refused_a_day_after_the_customers_last_message(shop: Shop) -> None:
    thread_id = shop.send()
    shop.move_to_whatsapp(thread_id, age_ms=DAY_MS // 2)
    assert _send(shop, thread_id).status_code == 200
    shop.move_to_whatsapp(thread_id, age_ms=DAY_MS)
    closed = _send(shop, thread_id)
    assert closed.status_code == 409
    assert "contentSid" in closed.json()["developerMessage"]
    assert _send(shop, thread_id, internal=True).status_code == 200


def test_messages_on_other_channels_do_not_open_the_whatsapp_window(shop: Shop) -> None:
    user = {"email": shop.somebody()}
    thread_id, other = shop.send(user=user), shop.send()
    shop.move_to_whatsapp(thread_id, age_ms=DAY_MS)
    shop.move_to_whatsapp(other, age_ms=0)  # another's window is no matter
    assert shop.send(user=user) == thread_id
    assert shop.thread(thread_id)["channel"] == "WEB"
    assert _send(shop, thread_id, channel="WHATSAPP").status_code == 409
    assert _send(shop, thread_id).status_code == 200
    with ThreadPoolExecutor(8) as pool:  # some go together, each by its own way
        ways = [None, "WHATSAPP", "EMAIL", "WHATSAPP"] * 2
        answers = list(pool.map(lambda way: _send(shop, thread_id, **({"channel": way} if way else {})), ways))
    assert [answer.status_code for answer in answers] == [200, 409, 200, 409] * 2
    shop.database.change("UPDATE threads SET channel = 'WHATSAPP' WHERE id = :id", id=int(thread_id))
    assert _send(shop, thread_id).status_code == 409


def test_each_reply_has_an_event_in_conversation_order(shop: Shop) -> None:
    thread_id = shop.send()
    for internal in (False, True, False):
        assert _send(shop, thread_id, internal=internal).status_code == 200
    events = shop.database.rows("SELECT * FROM events WHERE thread_id = :id ORDER BY position", id=int(thread_id))
    assert [event["thread_sequence"] for event in events] == [1, 2, 3, 4]
    assert [event["message_id"] for event in events] == [message["id"] for message in shop.messages(thread_id)]


def test_a_status_set_by_an_employee_is_noted(shop: Shop) -> None:
    thread_id = shop.send()
    body = {"customerThreadId": int(thread_id), "status": "resolved"}
    for path in ("/api/update-thread-status", "/api/update-thread-status/"):
        answer = shop.post(body, path=path)
        assert (answer.status_code, answer.json()) == (200, {"result": "ok"})
    assert shop.thread(thread_id)["status"] == "resolved"
    (event,) = shop.database.rows("SELECT * FROM events WHERE thread_id = :id AND type = 'status'", id=int(thread_id))
    assert event["details"] == '{"status": "resolved", "before": "waiting"}'
    wrong = shop.post({"status": "done"}, path="/api/update-thread-status")
    assert faults_of(wrong) == {("body", "#/customerThreadId", "required"), ("body", "#/status", "invalid_value")}


def test_a_reply_to_an_erased_customer_is_refused(shop: Shop) -> None:
    thread_id = shop.send()
    assert shop.post({}, path=f"/api/customers/{shop.customer_of(thread_id)}/erase").status_code == 200
    for internal in (False, True):
        refused = _send(shop, thread_id, internal=internal)
        assert (refused.status_code, refused.json()["type"]) == (409, "/problems/conflict")
    assert [message["body"] for message in shop.messages(thread_id)] == [""]
