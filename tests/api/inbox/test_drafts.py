"""Drafts of employees, and drafts that a program suggests."""

from collections.abc import Callable
from typing import Any

import pytest

from harness.employees import hire
from harness.inbox import call, employee, get, refusal, upload
from harness.shop import Shop, faults_of
from harness.streams import PROGRAMS_STREAM, listening_to, watching
from harness.visitors import acmes_site

DRAFTS = "/api/inbox/drafts"


@pytest.fixture
def shop(engine: str, shops: Callable[..., Shop], tmp_path_factory: pytest.TempPathFactory) -> Shop:
    """A server that keeps files."""
    folder = tmp_path_factory.getbasetemp() / f"drafts-{engine}"
    return shops(engine, run_worker="false", attachments_url=f"file://{folder}", visitor_rate_per_min=100_000)


def save(shop: Shop, thread_id: str, text: str = "Dear Carol", **fields: Any) -> str:
    """Save the draft of a reply; returns its id."""
    body = {"customerThreadId": thread_id, "mode": "reply", "text": text} | fields
    draft_id: str = call(shop, DRAFTS, **body)["draftId"]
    return draft_id


def listed(shop: Shop, **query: Any) -> list[dict[str, Any]]:
    """The drafts of an employee."""
    found: list[dict[str, Any]] = get(shop, DRAFTS, **query)["drafts"]
    return found


def test_a_draft_is_continued_on_a_second_machine(shop: Shop) -> None:
    thread_id, alice = shop.send(), hire(shop)
    body = {"customerThreadId": thread_id, "mode": "reply", "text": "Dear Carol, the"}
    first = alice.browser.call(DRAFTS, body).json()
    laptop = type(alice.browser)(shop)
    laptop.sign_in(alice.email)
    (draft,) = laptop.get(DRAFTS).json()["drafts"]
    assert (draft["draftId"], draft["text"], draft["mode"]) == (first["draftId"], "Dear Carol, the", "reply")
    assert (draft["employeeUserId"], draft["byProgram"]) == (str(alice.id), False)
    again = laptop.call(DRAFTS, body | {"text": "Dear Carol, the bell is ready."}).json()
    assert again["draftId"] == first["draftId"]
    (draft,) = alice.browser.get(DRAFTS).json()["drafts"]
    assert draft["text"] == "Dear Carol, the bell is ready."
    assert draft["updatedAt"] == again["updatedAt"] >= first["updatedAt"]


def test_an_employee_has_one_draft_of_a_reply_and_one_of_a_note(shop: Shop) -> None:
    thread_id, alice = shop.send(), employee(shop)
    reply = save(shop, thread_id, "a reply", employeeUserId=alice)
    note = save(shop, thread_id, "a note", mode="note", employeeUserId=alice)
    assert save(shop, thread_id, "another reply", employeeUserId=alice) == reply
    found = listed(shop, employeeUserId=alice)
    assert [(each["draftId"], each["text"]) for each in found] == [(note, "a note"), (reply, "another reply")]


def test_drafts_are_listed_in_pages(shop: Shop) -> None:
    alice = employee(shop)
    made = [save(shop, shop.send(), employeeUserId=alice) for _ in range(3)]
    first = get(shop, DRAFTS, employeeUserId=alice, limit=2)
    second = get(shop, DRAFTS, employeeUserId=alice, limit=2, cursor=first["nextCursor"])
    assert [each["draftId"] for page in (first, second) for each in page["drafts"]] == made[::-1]
    assert second["nextCursor"] is None


def test_a_draft_without_text_and_files_is_deleted(shop: Shop) -> None:
    thread_id, alice, file = shop.send(), employee(shop), upload(shop)
    save(shop, thread_id, employeeUserId=alice)
    kept = save(shop, thread_id, " ", attachmentIds=[file], employeeUserId=alice)
    (draft,) = listed(shop, employeeUserId=alice)
    assert draft["draftId"] == kept
    assert [each["attachmentId"] for each in draft["attachments"]] == [file]
    assert shop.server.client.get(draft["attachments"][0]["link"]).content == b"1 bell: 20"
    assert save(shop, thread_id, " \n", employeeUserId=alice) is None
    assert listed(shop, employeeUserId=alice) == []
    assert save(shop, thread_id, "", employeeUserId=alice) is None


def test_the_files_of_a_draft_keep_their_order_and_are_replaced(shop: Shop) -> None:
    thread_id, alice = shop.send(), employee(shop)
    files = [upload(shop, f"{number}.txt") for number in range(3)]
    for wanted in (files, files[::-1], files[1:2]):
        save(shop, thread_id, attachmentIds=wanted, employeeUserId=alice)
        (draft,) = listed(shop, employeeUserId=alice)
        assert [each["attachmentId"] for each in draft["attachments"]] == wanted


def test_other_employees_neither_see_nor_delete_a_draft(shop: Shop) -> None:
    thread_id, alice, dora = shop.send(), employee(shop), employee(shop, "Dora")
    draft_id = save(shop, thread_id, employeeUserId=alice)
    assert listed(shop, employeeUserId=dora) == []
    for body in ({"employeeUserId": dora}, {}):
        for act in ("delete", "take-over"):
            answer = shop.post(body, path=f"{DRAFTS}/{draft_id}/{act}")
            assert answer.status_code == (400 if (act, body) == ("take-over", {}) else 404), answer.text
    assert [each["draftId"] for each in listed(shop, employeeUserId=alice)] == [draft_id]
    call(shop, f"{DRAFTS}/{draft_id}/delete", employeeUserId=alice)
    assert listed(shop, employeeUserId=alice) == []


def test_an_employee_cannot_write_the_draft_of_another_one(shop: Shop) -> None:
    thread_id, alice, dora = shop.send(), hire(shop), employee(shop, "Dora")
    body = {"customerThreadId": thread_id, "mode": "reply", "text": "not mine", "employeeUserId": dora}
    assert refusal(alice.browser.call(DRAFTS, body)) == (403, "You can only act as yourself.")
    assert listed(shop, employeeUserId=dora) == []


def test_one_employee_takes_over_what_a_program_suggests(shop: Shop) -> None:
    thread_id, alice, dora = shop.send(), hire(shop), hire(shop)
    draft_id = save(shop, thread_id, "Dear Carol, the bell is ready.")
    assert save(shop, thread_id, "Dear Carol, your bell is ready.") == draft_id
    suggested = next(each for each in listed(shop, limit=200) if each["draftId"] == draft_id)
    assert (suggested["employeeUserId"], suggested["byProgram"]) == (None, True)
    taken = alice.browser.call(f"{DRAFTS}/{draft_id}/take-over").json()
    assert (taken["employeeUserId"], taken["byProgram"], taken["text"]) == (
        str(alice.id),
        True,
        "Dear Carol, your bell is ready.",
    )
    assert dora.browser.call(f"{DRAFTS}/{draft_id}/take-over").status_code == 404
    assert draft_id not in [each["draftId"] for each in listed(shop, limit=200)]
    body = {"customerThreadId": thread_id, "mode": "reply", "text": "Hello Carol, your bell is ready."}
    assert alice.browser.call(DRAFTS, body).json()["draftId"] == draft_id
    assert alice.browser.get(DRAFTS).json()["drafts"][0]["byProgram"] is False
    assert save(shop, thread_id, "A second thought.") != draft_id


def test_a_suggestion_never_replaces_a_draft_of_the_employee(shop: Shop) -> None:
    thread_id, alice = shop.send(), employee(shop)
    own, suggested = save(shop, thread_id, "mine", employeeUserId=alice), save(shop, thread_id, "a program's")
    answer = shop.post({"employeeUserId": alice}, path=f"{DRAFTS}/{suggested}/take-over")
    assert answer.status_code == 409
    assert "already have a draft" in answer.json()["detail"]
    assert [each["text"] for each in listed(shop, employeeUserId=alice)] == ["mine"]
    call(shop, f"{DRAFTS}/{own}/delete", employeeUserId=alice)
    call(shop, f"{DRAFTS}/{suggested}/take-over", employeeUserId=alice)


def test_an_invalid_draft_is_refused_with_all_errors(shop: Shop) -> None:
    thread_id, file = shop.send(), upload(shop)
    wrong = {"customerThreadId": thread_id, "mode": "letter", "text": "x" * 10_001, "attachmentIds": [file] * 11}
    assert faults_of(shop.post(wrong, path=DRAFTS)) == {
        ("body", "#/mode", "invalid_value"),
        ("body", "#/text", "too_long"),
        ("body", "#/attachmentIds", "too_long"),
    }
    nul = {"customerThreadId": thread_id, "mode": "note", "text": "a\0b"}
    assert faults_of(shop.post(nul, path=DRAFTS)) == {("body", "#/text", "invalid_character")}
    unknown = nul | {"text": "a", "attachmentIds": [file, "1"]}
    detail = "'attachmentIds' is not a list of files of this organization."
    assert refusal(shop.post(unknown, path=DRAFTS)) == (404, detail)


def test_a_change_of_a_draft_is_signalled_to_employees_and_not_to_the_customer(shop: Shop) -> None:
    carol = acmes_site(shop).visitor()
    thread_id, alice = carol.say("Hello")["customerThreadId"], employee(shop)
    with (
        listening_to(shop, PROGRAMS_STREAM, {"token": shop.world.token}) as program,
        watching(carol) as customer,
    ):
        program.until_ready()
        customer.until_ready()
        draft_id = save(shop, thread_id, "a secret", employeeUserId=alice)
        told = program.next("draft")["data"]
        assert told == {
            "customerThreadId": thread_id,
            "businessId": str(shop.thread(thread_id)["business_id"]),
            "mode": "reply",
            "employeeUserId": alice,
        }
        call(shop, f"{DRAFTS}/{draft_id}/delete", employeeUserId=alice)
        assert program.next("draft")["data"] == told
        assert customer.is_quiet()


def test_an_erasure_deletes_drafts_and_their_files_for_good(shop: Shop) -> None:
    thread_id, dave, alice, file = shop.send(), shop.send(), employee(shop), upload(shop)
    save(shop, thread_id, "Dear Carol Smith", attachmentIds=[file], employeeUserId=alice)
    suggested = save(shop, thread_id, "Dear Carol", mode="note")
    for thread in (thread_id, dave):
        call(shop, "/api/inbox/snooze", customerThreadId=thread, until=4_102_444_800_000)
    kept = save(shop, dave, "Dear Dave", employeeUserId=alice)
    call(shop, f"/api/customers/{shop.customer_of(thread_id)}/erase")
    assert [each["draftId"] for each in listed(shop, employeeUserId=alice)] == [kept]
    assert shop.database.rows("SELECT thread_id FROM snoozes WHERE thread_id = :id", id=int(thread_id)) == []
    assert shop.database.rows("SELECT thread_id FROM snoozes WHERE thread_id = :id", id=int(dave))
    assert shop.server.client.get(f"/api/attachments/{file}", headers={"token": shop.world.token}).status_code == 404
    late = {"customerThreadId": thread_id, "mode": "reply", "text": "Dear Carol Smith, ", "employeeUserId": alice}
    assert refusal(shop.post(late, path=DRAFTS)) == (409, "This customer was erased and cannot be changed.")
    assert shop.post({"employeeUserId": alice}, path=f"{DRAFTS}/{suggested}/take-over").status_code == 404


def test_drafts_and_private_views_of_an_employee_who_leaves_are_deleted(shop: Shop) -> None:
    thread_id, alice, dora = shop.send(), employee(shop), employee(shop, "Dora")
    for each in (alice, dora):
        save(shop, thread_id, employeeUserId=each)
        for shared in (True, False):
            call(shop, "/api/saved-views", name="Open", query="view=open", shared=shared, employeeUserId=each)
    call(shop, f"/api/employees/{alice}/deactivate")
    assert [each["employeeUserId"] for each in listed(shop, employeeUserId=dora)] == [dora]
    left = "SELECT employee_id FROM {} WHERE employee_id IN (:alice, :dora) ORDER BY 1"
    who = {"alice": int(alice), "dora": int(dora)}
    assert [row["employee_id"] for row in shop.database.rows(left.format("drafts"), **who)] == [int(dora)]
    views = shop.database.rows(left.format("saved_views"), **who)
    assert [row["employee_id"] for row in views] == [int(alice), int(dora), int(dora)]
    late = {"customerThreadId": thread_id, "mode": "reply", "text": "I", "employeeUserId": alice}
    assert shop.post(late, path=DRAFTS).status_code == 404
