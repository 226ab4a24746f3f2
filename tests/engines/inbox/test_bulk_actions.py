"""Actions on many conversations, and their undo."""

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

from harness.employees import Hired, hire
from harness.inbox import catch_up, listed
from harness.installation import Installation
from harness.shop import Shop, faults_of
from harness.world import World
from shopbell.accounts.roles import Roles
from shopbell.db.connect import open_database
from shopbell.inbox import actions, conversation_list
from shopbell.inbox.actions import KEPT_MS
from shopbell.runtime.clock import now_ms
from shopbell.settings.settings import load

BULK, UNDO = "/api/inbox/bulk", "/api/inbox/undo"
HOUR_MS = 60 * 60 * 1_000
RESOLVE = {"type": "status", "status": "resolved"}


@pytest.fixture
def shop(installation: Installation, people: World) -> Iterator[Shop]:
    """A server of its own without a worker."""
    with installation.serving(run_worker=False) as server:
        yield Shop(server, people)


@pytest.fixture
def alice(shop: Shop) -> Hired:
    """An employee."""
    return hire(shop)


def act(who: Hired, action: dict[str, Any], *thread_ids: str, **more: Any) -> dict[str, Any]:
    """Do something to conversations, which must succeed."""
    body = {"action": action, **({"customerThreadIds": thread_ids} if thread_ids else {}), **more}
    answer = who.browser.call(BULK, body)
    assert answer.status_code == 200, answer.text
    done: dict[str, Any] = answer.json()
    return done


def undo(who: Hired, done: dict[str, Any]) -> dict[str, Any]:
    """Undo it, which must succeed."""
    answer = who.browser.call(UNDO, {"actionId": done["actionId"]})
    assert answer.status_code == 200, answer.text
    undone: dict[str, Any] = answer.json()
    return undone


def events(shop: Shop, thread_id: str) -> list[str]:
    """The types of the events of a conversation, without those of its messages."""
    rows = shop.database.rows("SELECT type FROM events WHERE thread_id = :id ORDER BY position", id=int(thread_id))
    return [row["type"] for row in rows if row["type"] != "message"]


def statuses(shop: Shop, *thread_ids: str) -> list[str]:
    return [shop.thread(thread_id)["status"] for thread_id in thread_ids]


def assignee(shop: Shop, thread_id: str) -> int | None:
    rows = shop.database.rows("SELECT employee_id FROM assignments WHERE thread_id = :id", id=int(thread_id))
    return rows[0]["employee_id"] if rows else None


def snooze_of(shop: Shop, thread_id: str) -> int | None:
    rows = shop.database.rows("SELECT until_ms FROM snoozes WHERE thread_id = :id", id=int(thread_id))
    return rows[0]["until_ms"] if rows else None


def tags_of(shop: Shop, thread_id: str) -> set[str]:
    rows = shop.database.rows("SELECT tag_id FROM thread_tags WHERE thread_id = :id", id=int(thread_id))
    return {str(row["tag_id"]) for row in rows}


def test_conversations_are_resolved_and_the_undo_restores_each_former_status(shop: Shop, alice: Hired) -> None:
    waiting, replied, resolved = (shop.send() for _ in range(3))
    for thread_id, status in ((replied, "replied"), (resolved, "resolved")):
        shop.post({"customerThreadId": thread_id, "status": status}, path="/api/update-thread-status")
    done = act(alice, RESOLVE, waiting, replied, resolved)
    assert (done["changed"], done["unchanged"], done["failed"]) == (2, 1, [])
    assert statuses(shop, waiting, replied, resolved) == ["resolved"] * 3
    assert (undo(alice, done)["reversed"], statuses(shop, waiting, replied, resolved)) == (
        2,
        ["waiting", "replied", "resolved"],
    )
    assert events(shop, waiting) == ["status", "status"]


def test_an_entry_with_a_greater_position_than_an_action_contains_it(shop: Shop, alice: Hired) -> None:
    threads = [shop.send() for _ in range(2)]
    done = act(alice, RESOLVE, *threads)
    catch_up(shop)
    positions = [entry["position"] for entry in listed(shop, view="resolved") if entry["customerThreadId"] in threads]
    assert max(positions) == done["position"]
    shop.send(user={"email": shop.identities(shop.customer_of(threads[0]))["email"][0]})
    catch_up(shop)
    (entry,) = [entry for entry in listed(shop) if entry["customerThreadId"] == threads[0]]
    assert entry["position"] > done["position"]
    undone = undo(alice, done)
    catch_up(shop)
    (entry,) = [entry for entry in listed(shop) if entry["customerThreadId"] == threads[1]]
    assert entry["position"] == undone["position"]


def test_the_undo_skips_conversations_that_have_changed_since(shop: Shop, alice: Hired) -> None:
    threads = [shop.send() for _ in range(4)]
    written, reopened, replied = threads[1:]
    done = act(alice, RESOLVE, *threads)
    email = shop.identities(shop.customer_of(written))["email"][0]
    shop.send(user={"email": email})
    act(alice, {"type": "status", "status": "replied"}, reopened)
    shop.post({"customerThreadId": replied, "text": "One more thing."}, path="/api/send-message-to-customer-thread")
    undone = undo(alice, done)
    assert (undone["reversed"], undone["skipped"]) == (1, 3)
    assert {each["customerThreadId"] for each in undone["skippedThreads"]} == {written, reopened, replied}
    assert {each["error"] for each in undone["skippedThreads"]} == {"The conversation has changed since."}
    assert statuses(shop, *threads) == ["waiting", "waiting", "replied", "replied"]


def test_a_note_and_another_action_do_not_prevent_an_undo(shop: Shop, alice: Hired) -> None:
    thread_id = shop.send()
    assigned = act(alice, {"type": "assign", "assigneeUserId": str(alice.id)}, thread_id)
    resolved = act(alice, RESOLVE, thread_id)
    note = {"customerThreadId": thread_id, "text": "A note", "internal": True}
    shop.post(note, path="/api/send-message-to-customer-thread")
    assert undo(alice, resolved)["reversed"] == 1
    assert undo(alice, assigned)["reversed"] == 1
    assert (statuses(shop, thread_id), assignee(shop, thread_id)) == (["waiting"], None)


def test_an_undo_can_be_undone_and_repeated(shop: Shop, alice: Hired) -> None:
    thread_id = shop.send()
    done = act(alice, RESOLVE, thread_id)
    first, again = undo(alice, done), undo(alice, done)
    assert first == again
    assert statuses(shop, thread_id) == ["waiting"]
    redone = undo(alice, first)
    assert statuses(shop, thread_id) == ["resolved"]
    assert undo(alice, redone)["reversed"] == 1
    assert statuses(shop, thread_id) == ["waiting"]


def test_an_assignment_is_undone_to_the_former_assignee(shop: Shop, alice: Hired) -> None:
    bob, (taken, free, moved) = hire(shop), (shop.send() for _ in range(3))
    act(alice, {"type": "assign", "assigneeUserId": str(bob.id)}, taken)
    done = act(alice, {"type": "assign", "assigneeUserId": str(alice.id)}, taken, free, moved)
    assert done["changed"] == 3
    act(bob, {"type": "assign"}, moved)
    act(bob, {"type": "assign", "assigneeUserId": str(alice.id)}, moved)
    undone = undo(alice, done)
    assert (undone["reversed"], undone["skipped"]) == (2, 1)
    assert [assignee(shop, thread_id) for thread_id in (taken, free, moved)] == [bob.id, None, alice.id]


def test_a_transfer_is_undone_and_refused_where_the_customer_has_a_conversation(shop: Shop, alice: Hired) -> None:
    moved, back, there = (shop.send() for _ in range(3))
    email = shop.identities(shop.customer_of(there))["email"][0]
    shop.send(user={"email": email}, businessId=shop.world.paris)
    done = act(alice, {"type": "transfer", "businessId": shop.world.paris}, moved, back, there)
    assert (done["changed"], done["failedCount"]) == (2, 1)
    (failed,) = done["failed"]
    assert failed["customerThreadId"] == there
    assert "already has a conversation" in failed["error"]
    shop.send(user={"email": shop.identities(shop.customer_of(back))["email"][0]})
    undone = undo(alice, done)
    assert (undone["reversed"], undone["skipped"]) == (1, 1)
    businesses = [str(shop.thread(thread_id)["business_id"]) for thread_id in (moved, back, there)]
    assert businesses == [shop.world.boston, shop.world.paris, shop.world.boston]


def test_snoozes_are_set_ended_and_undone(shop: Shop, alice: Hired) -> None:
    first, second = shop.send(), shop.send()
    until, later = now_ms() + HOUR_MS, now_ms() + 2 * HOUR_MS
    act(alice, {"type": "snooze", "until": until}, first)
    done = act(alice, {"type": "snooze", "until": later}, first, second)
    assert [snooze_of(shop, first), snooze_of(shop, second)] == [later, later]
    assert undo(alice, done)["reversed"] == 2
    assert [snooze_of(shop, first), snooze_of(shop, second)] == [until, None]
    ended = act(alice, {"type": "unsnooze"}, first, second)
    assert (ended["changed"], ended["unchanged"]) == (1, 1)
    undo(alice, ended)
    assert snooze_of(shop, first) == until
    past = alice.browser.call(BULK, {"action": {"type": "snooze", "until": now_ms() - 1}, "customerThreadIds": [first]})
    assert faults_of(past) == {("body", "#/action/until", "invalid_value")}


def test_undoing_a_resolution_restores_the_snooze_that_it_ended(shop: Shop, alice: Hired) -> None:
    thread_id, until = shop.send(), now_ms() + HOUR_MS
    act(alice, {"type": "snooze", "until": until}, thread_id)
    done = act(alice, RESOLVE, thread_id)
    shop.database.change("DELETE FROM snoozes WHERE thread_id = :id", id=int(thread_id))  # as the worker does
    undo(alice, done)
    assert (statuses(shop, thread_id), snooze_of(shop, thread_id)) == (["waiting"], until)


def test_an_undo_restores_only_a_snooze_that_the_action_ended(shop: Shop, alice: Hired) -> None:
    ended, later = shop.send(), shop.send()
    until = now_ms() + HOUR_MS
    act(alice, {"type": "snooze", "until": until}, ended, later)
    answered = act(alice, {"type": "status", "status": "replied"}, ended)
    moved = act(alice, {"type": "transfer", "businessId": shop.world.paris}, later)
    act(alice, {"type": "unsnooze"}, ended)
    act(alice, {"type": "snooze", "until": until + HOUR_MS}, later)
    assert undo(alice, answered)["reversed"] == undo(alice, moved)["reversed"] == 1
    assert (statuses(shop, ended), snooze_of(shop, ended)) == (["waiting"], None)
    assert snooze_of(shop, later) == until + HOUR_MS


def test_tags_are_set_and_undone_without_touching_others(shop: Shop, alice: Hired) -> None:
    thread_id = shop.send()
    kept, removed, added, later = (
        shop.post({"name": name}, path="/api/tags").json()["tagId"] for name in ("kept", "removed", "added", "later")
    )
    act(alice, {"type": "tags", "addTagIds": [kept, removed]}, thread_id)
    done = act(alice, {"type": "tags", "addTagIds": [added, kept], "removeTagIds": [removed]}, thread_id)
    assert tags_of(shop, thread_id) == {kept, added}
    act(alice, {"type": "tags", "addTagIds": [later]}, thread_id)
    assert undo(alice, done)["reversed"] == 1
    assert tags_of(shop, thread_id) == {kept, removed, later}


def test_read_and_unread_concern_one_employee_and_are_undone(shop: Shop, alice: Hired) -> None:
    first, second, bob = shop.send(), shop.send(), hire(shop)
    query = "SELECT employee_id, sequence, marked_unread FROM employee_reads WHERE thread_id = :id"

    def reads_of(thread_id: str) -> list[tuple[int, int, bool]]:
        rows = shop.database.rows(query, id=int(thread_id))
        return [(row["employee_id"], row["sequence"], bool(row["marked_unread"])) for row in rows]

    read = act(alice, {"type": "read"}, first, second)
    assert reads_of(first) == reads_of(second) == [(alice.id, 1, False)]
    unread = act(alice, {"type": "unread"}, first)
    assert reads_of(first) == [(alice.id, 1, True)]
    assert undo(alice, unread)["reversed"] == 1
    assert reads_of(first) == [(alice.id, 1, False)]
    assert bob.browser.call(UNDO, {"actionId": read["actionId"]}).status_code == 404
    assert undo(alice, read)["reversed"] == 2
    assert reads_of(first) == reads_of(second) == [(alice.id, 0, False)]
    by_program = shop.post({"action": {"type": "read"}, "customerThreadIds": [first]}, path=BULK)
    assert faults_of(by_program) == {("body", "#/employeeUserId", "required")}


def test_all_conversations_of_a_filter_are_changed(shop: Shop, alice: Hired) -> None:
    boston = [shop.send() for _ in range(3)]
    paris = [shop.send(businessId=shop.world.paris) for _ in range(2)]
    catch_up(shop)
    done = act(alice, RESOLVE, filter={"view": "needs-reply", "businessId": shop.world.boston})
    assert done["changed"] == 3
    assert statuses(shop, *boston, *paris) == ["resolved"] * 3 + ["waiting"] * 2
    assert undo(alice, done)["reversed"] == 3


def test_what_leaves_the_list_before_its_turn_is_not_changed(
    shop: Shop, alice: Hired, monkeypatch: pytest.MonkeyPatch
) -> None:
    bob, free, taken = hire(shop), shop.send(), shop.send()
    catch_up(shop)
    find_ids, found = conversation_list.find_ids, []

    def then_taken(*args: Any, **fields: Any) -> list[int]:
        ids = find_ids(*args, **fields)
        if not found:
            found.extend(ids)
            act(bob, {"type": "assign", "assigneeUserId": str(bob.id)}, taken)
            catch_up(shop)
        return ids

    monkeypatch.setattr(conversation_list, "find_ids", then_taken)
    done = act(alice, {"type": "assign", "assigneeUserId": str(alice.id)}, filter={"view": "unassigned"})
    assert {int(free), int(taken)} <= {*found}
    assert done["changed"] == len(found) - 1
    assert (assignee(shop, free), assignee(shop, taken)) == (alice.id, bob.id)


def test_an_employee_changes_only_conversations_of_their_businesses(shop: Shop) -> None:
    carol = hire(shop, roles=Roles(businesses={int(shop.world.boston): "member"}))
    mine, foreign = shop.send(), shop.send(businessId=shop.world.paris)
    body = {"action": RESOLVE, "customerThreadIds": [mine, foreign]}
    refused = carol.browser.call(BULK, body)
    assert (refused.status_code, refused.json()["detail"]) == (
        404,
        "'customerThreadIds' is not a list of conversations of this organization.",
    )
    assert statuses(shop, mine, foreign) == ["waiting", "waiting"]
    move = {"action": {"type": "transfer", "businessId": shop.world.paris}, "customerThreadIds": [mine]}
    assert carol.browser.call(BULK, move).status_code == 404
    catch_up(shop)
    assert act(carol, RESOLVE, filter={"view": "open"})["changed"] == 1
    assert statuses(shop, mine, foreign) == ["resolved", "waiting"]


def test_unknown_ids_change_nothing(shop: Shop, alice: Hired) -> None:
    thread_id = shop.send()
    globex = shop.send(token=shop.world.globex_token, businessId=shop.world.london)
    for action, ids in (
        (RESOLVE, [thread_id, globex]),
        (RESOLVE, [thread_id, "1"]),
        ({"type": "assign", "assigneeUserId": "1"}, [thread_id]),
        ({"type": "transfer", "businessId": shop.world.london}, [thread_id]),
        ({"type": "tags", "addTagIds": ["1"]}, [thread_id]),
    ):
        answer = alice.browser.call(BULK, {"action": action, "customerThreadIds": ids})
        assert answer.status_code == 404, answer.text
    assert events(shop, thread_id) == []
    assert alice.browser.call(UNDO, {"actionId": "1"}).status_code == 404


def test_the_fields_of_a_type_and_one_way_to_choose_are_required(shop: Shop, alice: Hired) -> None:
    def faults(**body: Any) -> set[tuple[str, str, str]]:
        return faults_of(alice.browser.call(BULK, body))

    ids = [shop.send()]
    assert faults(action={"type": "status"}, customerThreadIds=ids) == {("body", "#/action/status", "required")}
    assert faults(action={"type": "snooze"}, customerThreadIds=ids) == {("body", "#/action/until", "required")}
    assert faults(action={"type": "transfer"}, customerThreadIds=ids) == {("body", "#/action/businessId", "required")}
    assert faults(action=RESOLVE) == {("body", "#", "exactly_one_required")}
    assert faults(action=RESOLVE, customerThreadIds=ids, filter={}) == {("body", "#", "exactly_one_required")}


def test_a_tag_that_is_to_be_added_and_removed_is_refused(shop: Shop, alice: Hired) -> None:
    thread_id = shop.send()
    one, other = (shop.post({"name": name}, path="/api/tags").json()["tagId"] for name in ("one", "other"))
    action = {"type": "tags", "addTagIds": [one, other], "removeTagIds": [other]}
    answer = alice.browser.call(BULK, {"action": action, "customerThreadIds": [thread_id]})
    assert (answer.status_code, faults_of(answer)) == (400, {("body", "#/action/removeTagIds", "invalid_value")})
    assert (tags_of(shop, thread_id), shop.count("actions")) == (set(), 0)


def test_a_repeated_request_continues_the_same_action(shop: Shop, alice: Hired) -> None:
    first, second = shop.send(), shop.send()
    body = {"action": RESOLVE, "customerThreadIds": [first, second]}
    alice.browser.headers["Idempotency-Key"] = "one"
    done = alice.browser.call(BULK, body).json()
    # As if the server had been killed between the two transactions.
    shop.database.change("DELETE FROM action_items WHERE thread_id = :id", id=int(second))
    shop.database.change("UPDATE threads SET status = 'waiting' WHERE id = :id", id=int(second))
    answer = alice.browser.call(BULK, body)
    assert answer.json() == done | {"position": done["position"] + 1}  # the second one has changed again
    assert answer.headers["idempotent-replayed"] == "true"
    assert alice.browser.call(BULK, body | {"action": {"type": "unread"}}).status_code == 422
    assert events(shop, first) == ["status"]
    assert undo(alice, done)["reversed"] == 2


def test_more_conversations_than_one_transaction_takes_are_changed(shop: Shop, alice: Hired) -> None:
    threads = [shop.send() for _ in range(actions.BATCH_THREADS * 2 + 1)]
    done = act(alice, RESOLVE, *threads)
    assert done["changed"] == len(threads)
    assert undo(alice, done)["reversed"] == len(threads)
    assert set(statuses(shop, *threads)) == {"waiting"}


def test_actions_are_forgotten_after_a_day(
    shop: Shop, alice: Hired, installation: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = act(alice, RESOLVE, shop.send())
    for name, value in installation.environment.items():
        monkeypatch.setenv(name, value)
    database = open_database(load())
    database.write_now(actions.forget_old, now_ms())
    assert shop.count("action_items") == 1
    database.write_now(actions.forget_old, now_ms() + KEPT_MS + 1)
    assert (shop.count("actions"), shop.count("action_items")) == (0, 0)
    asyncio.run(database.close())
    assert alice.browser.call(UNDO, {"actionId": done["actionId"]}).status_code == 404
