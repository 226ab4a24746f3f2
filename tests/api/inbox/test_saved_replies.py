"""Saved replies: shortcuts, variables, files and businesses."""

import uuid
from collections.abc import Callable
from typing import Any

import pytest

from harness.employees import hire
from harness.inbox import audited, call, employee, get, refusal, upload
from harness.shop import Shop, faults_of
from shopbell.accounts.roles import Roles

SAVED = "/api/saved-replies"


@pytest.fixture
def shop(engine: str, shops: Callable[..., Shop], tmp_path_factory: pytest.TempPathFactory) -> Shop:
    """A server that keeps files."""
    folder = tmp_path_factory.getbasetemp() / f"saved-{engine}"
    return shops(engine, run_worker="false", attachments_url=f"file://{folder}", visitor_rate_per_min=100_000)


def create(shop: Shop, token: str = "", **fields: Any) -> dict[str, Any]:
    """Create a saved reply."""
    body = {"shortcut": uuid.uuid4().hex, "title": "Repair", "text": "A repair takes five days."} | fields
    return call(shop, SAVED, token, **body)


def listed(shop: Shop, token: str = "", **query: Any) -> list[dict[str, Any]]:
    """All saved replies, page by page."""
    found: list[dict[str, Any]] = []
    page: dict[str, Any] = {"nextCursor": ""}
    while page["nextCursor"] is not None:
        cursor = {"cursor": page["nextCursor"]} if page["nextCursor"] else {}
        page = get(shop, SAVED, token, limit=2, **query, **cursor)
        assert page["variables"] == ["first_name", "last_name", "business", "employee"]
        assert len(page["savedReplies"]) <= 2
        found += page["savedReplies"]
    return found


def test_a_saved_reply_is_created_changed_listed_and_deleted(shop: Shop) -> None:
    file, text = upload(shop), "Dear {{first_name}} {{last_name}}, {{employee}} of {{business}}"
    made = create(shop, shortcut="Repair-Été_1", text=text, businessId=shop.world.boston, attachmentIds=[file])
    assert (made["shortcut"], made["businessId"], made["text"]) == ("repair-été_1", shop.world.boston, text)
    assert [each["attachmentId"] for each in made["attachments"]] == [file]
    path = f"{SAVED}/{made['savedReplyId']}"
    assert next(each for each in listed(shop) if each["savedReplyId"] == made["savedReplyId"])["text"] == text
    call(shop, f"{path}/update", title="Repairs", text="Five days.", allBusinesses=True, attachmentIds=[])
    call(shop, f"{path}/update", title="Repairs")  # changes nothing
    (changed,) = [each for each in listed(shop) if each["savedReplyId"] == made["savedReplyId"]]
    assert (changed["title"], changed["text"], changed["businessId"], changed["attachments"]) == (
        "Repairs",
        "Five days.",
        None,
        [],
    )
    assert changed["updatedAt"] >= made["updatedAt"]
    call(shop, f"{path}/delete")
    assert shop.post(b"", path=f"{path}/delete").status_code == 404
    verbs = ["create", "update", "delete"]
    assert audited(shop, f"saved reply {made['savedReplyId']}") == [f"saved-reply.{verb}" for verb in verbs]


def test_a_shortcut_is_unique_for_each_business_and_for_all(shop: Shop) -> None:
    taken = (409, "Another saved reply has that shortcut.")
    shortcut = uuid.uuid4().hex
    general = create(shop, shortcut=shortcut)
    boston, paris = ({"businessId": shop.world.boston}, {"businessId": shop.world.paris})
    of_boston = create(shop, shortcut=shortcut, **boston)
    create(shop, shortcut=shortcut, **paris)
    create(shop, shop.world.globex_token, shortcut=shortcut)
    body = {"shortcut": shortcut.upper(), "title": "x", "text": "x"}
    for where in ({}, boston):
        assert refusal(shop.post(body | where, path=SAVED)) == taken
    assert refusal(shop.post({"allBusinesses": True}, path=f"{SAVED}/{of_boston['savedReplyId']}/update")) == taken
    assert refusal(shop.post(boston, path=f"{SAVED}/{general['savedReplyId']}/update")) == taken


def test_a_business_uses_its_own_saved_replies_and_those_for_all(shop: Shop) -> None:
    general, boston, paris = (
        create(shop),
        create(shop, businessId=shop.world.boston),
        create(shop, businessId=shop.world.paris),
    )
    found = [each["savedReplyId"] for each in listed(shop, businessId=shop.world.boston)]
    assert general["savedReplyId"] in found
    assert boston["savedReplyId"] in found
    assert paris["savedReplyId"] not in found


@pytest.mark.parametrize("text", ["Dear {{name}}", "Dear {{ first_name }}", "Dear {{first_name}", "Dear }}", "{{{{"])
def test_a_text_with_an_unknown_variable_is_refused(shop: Shop, text: str) -> None:
    answer = shop.post({"shortcut": "x", "title": "x", "text": text}, path=SAVED)
    assert faults_of(answer) == {("body", "#/text", "invalid_value")}
    assert "{{first_name}}" in answer.json()["developerMessage"]
    made = create(shop)
    changed = shop.post({"text": text}, path=f"{SAVED}/{made['savedReplyId']}/update")
    assert faults_of(changed) == {("body", "#/text", "invalid_value")}


def test_an_invalid_saved_reply_is_refused_with_all_errors(shop: Shop) -> None:
    wrong = shop.post({"shortcut": "a b", "title": " ", "text": "", "attachmentIds": ["1"] * 11}, path=SAVED)
    assert faults_of(wrong) == {
        ("body", "#/shortcut", "invalid_format"),
        ("body", "#/title", "blank"),
        ("body", "#/text", "blank"),
        ("body", "#/attachmentIds", "too_long"),
    }
    long = shop.post({"shortcut": "x" * 33, "title": "x" * 201, "text": "x" * 10_001}, path=SAVED)
    assert faults_of(long) == {
        ("body", "#/shortcut", "invalid_format"),
        ("body", "#/title", "too_long"),
        ("body", "#/text", "too_long"),
    }
    body = {"shortcut": "x", "title": "x", "text": "x", "businessId": shop.world.closed}
    assert refusal(shop.post(body, path=SAVED)) == (404, "'businessId' is not an active business of this organization.")
    both = shop.post({"businessId": shop.world.boston, "allBusinesses": True}, path=f"{SAVED}/1/update")
    assert faults_of(both) == {("body", "#/allBusinesses", "invalid_value")}


def test_a_manager_of_one_business_changes_only_its_saved_replies(shop: Shop) -> None:
    manager = hire(shop, roles=Roles(None, {int(shop.world.boston): "manager"})).browser
    body = {"shortcut": uuid.uuid4().hex, "title": "x", "text": "x"}
    lacks = (403, "Your role does not allow this: the permission 'inbox:manage' is missing.")
    assert refusal(manager.call(SAVED, body)) == lacks
    assert manager.call(SAVED, body | {"businessId": shop.world.paris}).status_code == 404
    own = manager.call(SAVED, body | {"businessId": shop.world.boston}).json()["savedReplyId"]
    general, paris = create(shop)["savedReplyId"], create(shop, businessId=shop.world.paris)["savedReplyId"]
    assert manager.call(f"{SAVED}/{own}/update", {"title": "y"}).status_code == 200
    assert refusal(manager.call(f"{SAVED}/{own}/update", {"allBusinesses": True})) == lacks
    for act in ("update", "delete"):
        assert refusal(manager.call(f"{SAVED}/{general}/{act}", {"title": "y"})) == lacks
        assert manager.call(f"{SAVED}/{paris}/{act}", {"title": "y"}).status_code == 404
    found = [each["savedReplyId"] for each in manager.get(f"{SAVED}?limit=200").json()["savedReplies"]]
    assert {own, general} <= set(found)
    assert paris not in found
    assert manager.call(f"{SAVED}/{own}/delete").status_code == 200


def test_an_employee_of_one_business_uses_the_files_that_they_see(shop: Shop) -> None:
    boston = hire(shop, roles=Roles(None, {int(shop.world.boston): "manager"})).browser
    general, suggested, foreign, of_paris = (upload(shop, f"{number}.txt") for number in range(4))
    create(shop, attachmentIds=[general])
    create(shop, attachmentIds=[of_paris], businessId=shop.world.paris)
    thread_id = shop.send()
    draft = {"customerThreadId": thread_id, "mode": "reply", "text": "x"}
    call(shop, "/api/inbox/drafts", attachmentIds=[suggested], **draft)
    call(shop, "/api/inbox/drafts", attachmentIds=[foreign], employeeUserId=employee(shop), **draft)
    for file, status in ((general, 200), (suggested, 200), (foreign, 404), (of_paris, 404)):
        assert boston.get(f"/api/attachments/{file}").status_code == status
        note = draft | {"mode": "note", "attachmentIds": [file]}
        assert boston.call("/api/inbox/drafts", note).status_code == status
        sent = boston.call(
            "/api/send-message-to-customer-thread", {"customerThreadId": thread_id, "attachmentId": file}
        )
        assert sent.status_code == status
