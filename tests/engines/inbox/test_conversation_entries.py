"""The entries of the inbox's list follow whatever happens to conversations."""

from collections.abc import Callable
from typing import Any

import pytest

from harness.employees import hire
from harness.inbox import catch_up, entry, listed
from harness.installation import Installation
from harness.shop import HELLO, Shop
from harness.streams import post, reply
from harness.world import World
from shopbell.inbox import feed_consumer


@pytest.fixture
def shop(engine: str, shops: Callable[..., Shop]) -> Shop:
    """A server whose feeds only the tests consume."""
    return shops(engine, run_worker="false", visitor_rate_per_min=100_000)


def sent_at(shop: Shop, thread_id: str, sequence: int) -> int:
    """When a message was stored, in Unix ms."""
    (message,) = [each for each in shop.messages(thread_id) if each["sequence"] == sequence]
    at_ms: int = message["created_at_ms"]
    return at_ms


def rows(shop: Shop) -> list[dict[str, Any]]:
    """Acme's rows, without the position of the event that changed them."""
    query = "SELECT * FROM inbox_threads WHERE organization_id = :id ORDER BY thread_id"
    found = shop.database.rows(query, id=int(shop.world.acme))
    return [{name: value for name, value in row.items() if name != "position"} for row in found]


def test_a_new_conversation_shows_who_waits_since_when_and_what_they_wrote(shop: Shop) -> None:
    email = shop.somebody()
    thread_id = shop.send(user={"email": email}, message="Hello,\n\n  where is\tmy order?")
    shop.send(user={"email": email}, message="It is order 7.")
    shown = entry(shop, thread_id)
    assert shown.pop("position") > 0
    assert shown == {
        "customerThreadId": thread_id,
        "businessId": shop.world.boston,
        "customerId": str(shop.customer_of(thread_id)),
        "customerName": email,
        "channel": "WEB",
        "status": "waiting",
        "assigneeUserId": None,
        "waitingSince": sent_at(shop, thread_id, 1),
        "lastMessageAt": sent_at(shop, thread_id, 2),
        "preview": "It is order 7.",
        "lastAuthor": "customer",
        "lastSequence": 2,
        "unread": False,
        "mentioned": False,
        "snoozedUntil": None,
        "tagIds": [],
    }


def test_a_preview_is_one_line_of_at_most_200_characters(shop: Shop) -> None:
    thread_id = shop.send(message="Hello,\n\n  where is\tmy order? " + "x" * 500)
    preview = entry(shop, thread_id)["preview"]
    assert preview.startswith("Hello, where is my order? xxx")
    assert len(preview) == 200


def test_a_customer_waits_since_the_first_message_after_the_last_reply(shop: Shop) -> None:
    email = shop.somebody()
    thread_id = shop.send(user={"email": email})
    reply(shop, thread_id, "Which one?")
    replied = entry(shop, thread_id)
    assert (replied["status"], replied["waitingSince"], replied["lastAuthor"]) == ("replied", None, "program")
    for text in ("Number 7.", "Or 8."):
        shop.send(user={"email": email}, message=text)
    shown = entry(shop, thread_id)
    assert (shown["waitingSince"], shown["preview"]) == (sent_at(shop, thread_id, 3), "Or 8.")


def test_a_customer_who_writes_after_a_resolution_waits_since_then(shop: Shop) -> None:
    email = shop.somebody()
    thread_id = shop.send(user={"email": email})
    post(shop, "/api/update-thread-status", customerThreadId=thread_id, status="resolved")
    shop.send(user={"email": email}, message="One more thing.")
    assert entry(shop, thread_id)["waitingSince"] == sent_at(shop, thread_id, 2)


def test_a_customer_whose_conversation_is_reopened_waits_since_the_first_message(shop: Shop) -> None:
    email = shop.somebody()
    thread_id = shop.send(user={"email": email})
    for status in ("resolved", "waiting"):
        post(shop, "/api/update-thread-status", customerThreadId=thread_id, status=status)
        catch_up(shop)
    shop.send(user={"email": email}, message="One more thing.")
    assert entry(shop, thread_id)["waitingSince"] == sent_at(shop, thread_id, 1)


def test_an_answered_conversation_that_is_set_to_waiting_waits_since_then(shop: Shop) -> None:
    thread_id = shop.send()
    reply(shop, thread_id)
    post(shop, "/api/update-thread-status", customerThreadId=thread_id, status="waiting")
    shown = entry(shop, thread_id)
    assert shown["waitingSince"] == shop.thread(thread_id)["updated_at_ms"]


def test_a_note_changes_neither_preview_nor_time(shop: Shop) -> None:
    thread_id = shop.send()
    before = entry(shop, thread_id)
    reply(shop, thread_id, "She called before.", internal=True)
    after = entry(shop, thread_id)
    assert (after["lastSequence"], after["preview"]) == (2, HELLO)
    assert {**after, "lastSequence": 1, "position": 0} == {**before, "position": 0}


def test_an_entry_follows_assignment_transfer_and_name(shop: Shop) -> None:
    alice = hire(shop)
    thread_id = shop.send()
    post(shop, "/api/assign-customer-thread", customerThreadId=thread_id, employeeUserId=str(alice.id))
    post(shop, "/api/transfer-customer-thread", customerThreadId=thread_id, businessId=shop.world.paris)
    customer_id = shop.customer_of(thread_id)
    post(shop, f"/api/customers/{customer_id}/profile/update", firstName="Carol", lastName="Jones")
    shown = entry(shop, thread_id)
    assert (shown["assigneeUserId"], shown["businessId"], shown["customerName"]) == (
        str(alice.id),
        shop.world.paris,
        "Carol Jones",
    )
    post(shop, "/api/unassign-customer-thread", customerThreadId=thread_id)
    post(shop, f"/api/customers/{customer_id}/profile/update", firstName="", lastName="", company="Bikes Inc.")
    shown = entry(shop, thread_id)
    assert (shown["assigneeUserId"], shown["customerName"]) == (None, "Bikes Inc.")


def test_a_merge_and_its_undo_change_the_entries_of_all_conversations_of_both(shop: Shop) -> None:
    one = shop.send(user={"email": shop.somebody()})
    other = shop.send(user={"email": shop.somebody()})
    moving = shop.send(
        businessId=shop.world.paris, user={"email": shop.identities(shop.customer_of(other))["email"][0]}
    )
    kept, merged = shop.customer_of(one), shop.customer_of(other)
    post(shop, f"/api/customers/{kept}/profile/update", firstName="Carol")
    names = {thread_id: entry(shop, thread_id)["customerName"] for thread_id in (other, moving)}
    done = post(shop, f"/api/customers/{kept}/merge", otherCustomerId=str(merged))
    for thread_id in (one, other, moving):
        shown = entry(shop, thread_id)
        assert (shown["customerId"], shown["customerName"]) == (str(kept), "Carol")
    post(shop, f"/api/customers/merges/{done['mergeId']}/undo")
    for thread_id in (other, moving):
        shown = entry(shop, thread_id)
        assert (shown["customerId"], shown["customerName"]) == (str(merged), names[thread_id])


def test_an_erasure_removes_name_and_text_before_the_feed_is_consumed(shop: Shop) -> None:
    thread_id = shop.send(message="My card is lost.")
    assert entry(shop, thread_id)["preview"]
    post(shop, f"/api/customers/{shop.customer_of(thread_id)}/erase")
    for shown in (listed(shop, customerThreadId=thread_id)[0], entry(shop, thread_id)):
        assert (shown["customerName"], shown["preview"]) == (None, "")


def test_entries_are_the_same_when_they_are_derived_again(shop: Shop) -> None:
    email = shop.somebody()
    thread_id = shop.send(user={"email": email})
    post(shop, "/api/update-thread-status", customerThreadId=thread_id, status="resolved")
    shop.send(user={"email": email}, message="One more thing.")
    reply(shop, shop.send())
    catch_up(shop)
    before = rows(shop)
    assert len(before) > 1
    shop.database.change("DELETE FROM inbox_threads")
    shop.database.change("DELETE FROM inbox_cursors")
    catch_up(shop)
    assert rows(shop) == before


@pytest.mark.parametrize("is_known", [True, False])
def test_entries_whose_events_were_deleted_are_derived_again(
    installation: Installation, people: World, is_known: bool
) -> None:
    with installation.serving(run_worker="false") as server:
        shop = Shop(server, people)
        threads = {int(shop.send()) for _ in range(3)}
        if is_known:
            catch_up(shop)
            shop.send()
    shop.database.change("DELETE FROM events")
    shop.database.change("DELETE FROM inbox_threads")
    catch_up(shop)
    assert {row["thread_id"] for row in rows(shop)} >= threads


def test_only_one_of_two_workers_writes_a_section(shop: Shop) -> None:
    shop.send()
    acme = int(shop.world.acme)
    with shop.database.writing() as tx:
        section = feed_consumer.read_section(tx, acme)
    assert section is not None
    with shop.database.writing() as tx:
        assert feed_consumer.write_section(tx, section) is not None
    with shop.database.writing() as tx:
        assert feed_consumer.write_section(tx, section) is None
