"""Conversations from other products keep their times, and no one is notified of them."""

import asyncio
from collections.abc import Iterator
from dataclasses import replace

import pytest

from harness.inbox import call, employee, entry, events_of, get, listed
from harness.installation import SECRET_KEY, Installation
from harness.shop import Shop
from harness.world import World
from shopbell.conversations import history
from shopbell.conversations.history import Past, Stored
from shopbell.conversations.message_writer import NewMessage
from shopbell.customers import contacts, merges
from shopbell.customers.contacts import Contact
from shopbell.db.connect import open_database
from shopbell.db.database import Database
from shopbell.db.lock_order import lock_customers_shared
from shopbell.events.actors import SYSTEM, Actor
from shopbell.operations import retention
from shopbell.runtime.clock import now_ms
from shopbell.settings.settings import Settings

DAY_MS = 24 * 60 * 60 * 1_000
SPRING_MS = 1_700_000_000_000
CAROL = Contact((("email", "carol@example.com", "Carol@example.com"),), {"first_name": "Carol"}, SPRING_MS)


@pytest.fixture
def shop(installation: Installation, people: World) -> Iterator[Shop]:
    """A server without a worker process."""
    with installation.serving(run_worker=False) as server:
        yield Shop(server, people)


@pytest.fixture
def database(shop: Shop) -> Iterator[Database]:
    """The same database, opened in this process."""
    opened = open_database(Settings(database_url=shop.database.url, secret_key=SECRET_KEY))
    yield opened
    asyncio.run(opened.close())


def past(source: str = "zendesk:1", *, days: float = 0, status: str = "resolved", by: int | None = None) -> Past:
    """A question and its answer, so many days after the spring of 2023."""
    at_ms = SPRING_MS + int(days * DAY_MS)
    question = NewMessage("Where is my order?", from_customer=True, channel="EMAIL", created_at_ms=at_ms)
    answer = NewMessage("On its way.", channel="EMAIL", actor=Actor("employee", by), created_at_ms=at_ms + 60_000)
    return Past(source, "EMAIL", status, (question, answer), email="carol@example.com", assignee_id=by)


def store(shop: Shop, database: Database, *pasts: Past, contact: Contact = CAROL) -> list[Stored]:
    """Store conversations of a customer with Boston."""
    organization_id, business_id = int(shop.world.acme), int(shop.world.boston)
    done = []
    for each in pasts:
        with database.engine.begin() as tx:
            lock_customers_shared(tx)
            customer_id = contacts.find_or_create(tx, organization_id, contact, now_ms=now_ms()).customer_id
            stored = history.store(tx, organization_id, customer_id, business_id, each, now_ms=now_ms())
            if stored.apart_customer_id is not None:
                merges.merge(tx, organization_id, customer_id, stored.apart_customer_id, actor=SYSTEM)
            history.record_import(tx, organization_id, stored, now_ms=now_ms())
        done.append(stored)
    return done


def test_messages_keep_their_times_and_authors(shop: Shop, database: Database) -> None:
    alice = int(employee(shop))
    (stored,) = store(shop, database, past(by=alice))
    thread = shop.thread(str(stored.thread.id))
    assert [(row["body"], row["created_at_ms"], row["employee_id"]) for row in shop.messages(str(thread["id"]))] == [
        ("Where is my order?", SPRING_MS, None),
        ("On its way.", SPRING_MS + 60_000, alice),
    ]
    assert (thread["status"], thread["channel"], thread["last_email"]) == ("resolved", "EMAIL", "carol@example.com")
    assert (thread["created_at_ms"], thread["updated_at_ms"]) == (SPRING_MS, SPRING_MS + 60_000)
    assert (thread["last_reply_sequence"], thread["last_reply_author_id"]) == (2, alice)
    assert thread["last_customer_message_at_ms"] == SPRING_MS


def test_the_inbox_lists_an_imported_conversation(shop: Shop, database: Database) -> None:
    alice = employee(shop)
    (stored,) = store(shop, database, past(by=int(alice)))
    found = entry(shop, str(stored.thread.id))
    assert (found["status"], found["lastMessageAt"]) == ("resolved", SPRING_MS + 60_000)
    assert found["assigneeUserId"] == alice
    assert found["customerName"] == "Carol"


def test_an_import_is_one_event_and_no_message_event(shop: Shop, database: Database) -> None:
    hook = {"url": "https://receiver.example/", "subscribedEvents": ["messages", "transfers", "deliveries"]}
    call(shop, "/api/webhooks/", **hook)
    (stored,) = store(shop, database, past(by=int(employee(shop))))
    thread_id = str(stored.thread.id)
    assert events_of(shop, thread_id, "import") == [{"source": "zendesk:1", "messages": 2, "status": "resolved"}]
    types = shop.database.rows("SELECT type FROM events WHERE thread_id = :id", id=stored.thread.id)
    assert [row["type"] for row in types] == ["import"]
    assert shop.count("deliveries") == 0
    (last,) = get(shop, "/api/events", types="import")["events"]
    assert (last["type"], last["customerThreadId"]) == ("import", thread_id)


def test_later_conversations_continue_the_thread_in_the_order_in_which_they_began(
    shop: Shop, database: Database
) -> None:
    first, second, third = store(
        shop, database, past("zendesk:1"), past("zendesk:2", days=0.0001, status="waiting"), past("zendesk:3", days=9)
    )
    assert first.thread.id == second.thread.id == third.thread.id
    assert [row["sequence"] for row in shop.messages(str(first.thread.id))] == [1, 2, 3, 4, 5, 6]
    assert third.status == "waiting"  # the second one still waits
    assert len(listed(shop)) == 0
    assert entry(shop, str(first.thread.id))["status"] == "waiting"


def test_a_conversation_from_before_the_customers_messages_stays_apart(shop: Shop, database: Database) -> None:
    live = shop.send(user={"email": "carol@example.com"})
    apart, also_apart = store(shop, database, past("zendesk:1"), past("zendesk:2", days=1))
    assert str(apart.thread.id) != live
    assert apart.thread.id == also_apart.thread.id
    assert len(shop.messages(live)) == 1
    customer_id = str(shop.customer_of(live))
    threads = get(shop, "/api/threads", customerId=customer_id)["threads"]
    assert {each["customerThreadId"] for each in threads} == {live, str(apart.thread.id)}
    shop.send(user={"email": "carol@example.com"}, message="Any news?")
    assert len(shop.messages(live)) == 2  # what they write now does not go to the old thread


def test_an_earlier_conversation_of_a_second_import_stays_apart(shop: Shop, database: Database) -> None:
    first, earlier = store(shop, database, past("zendesk:2"), past("zendesk:1", days=-30))
    assert first.thread.id != earlier.thread.id
    assert [row["created_at_ms"] for row in shop.messages(str(earlier.thread.id))] == [
        SPRING_MS - 30 * DAY_MS,
        SPRING_MS - 30 * DAY_MS + 60_000,
    ]


def test_the_wait_of_a_new_message_does_not_begin_in_the_imported_ones(shop: Shop, database: Database) -> None:
    (question, _) = past().messages
    (stored,) = store(shop, database, replace(past(), messages=(question,)))
    shop.send(user={"email": "carol@example.com"}, message="And where is it now?")
    found = entry(shop, str(stored.thread.id))
    assert found["status"] == "waiting"
    assert found["waitingSince"] > SPRING_MS + DAY_MS


def test_the_customer_has_no_unread_imported_messages(shop: Shop, database: Database) -> None:
    (stored,) = store(shop, database, past())
    (read,) = shop.database.rows("SELECT * FROM thread_reads WHERE thread_id = :id", id=stored.thread.id)
    assert (read["customer_sequence"], read["store_sequence"]) == (2, 2)


def test_retention_deletes_old_imported_messages_after_new_ones(
    shop: Shop, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    # One message of today fills a batch of those with the lowest ids.
    monkeypatch.setattr(retention, "BATCH_ROWS", 1)
    call(shop, "/api/organization/update", keepMessagesDays=365)
    kept = shop.send()
    old = store(shop, database, *(past(f"zendesk:{number}", days=number) for number in range(3)))
    store(shop, database, past("zendesk:9", days=(now_ms() - SPRING_MS) / DAY_MS - 300))
    assert asyncio.run(retention.sweep(database, now_ms=now_ms())) == 6
    assert len(shop.messages(str(old[0].thread.id))) == 2
    assert asyncio.run(retention.sweep(database, now_ms=now_ms() + 70 * DAY_MS)) == 2
    assert len(shop.messages(kept)) == 1
    left = shop.database.rows("SELECT oldest_at_ms FROM imported_conversations")
    assert [row["oldest_at_ms"] for row in left] == [None] * 4


def test_what_is_known_of_a_customer_is_not_overwritten(shop: Shop, database: Database) -> None:
    store(shop, database, past())
    named = replace(CAROL, profile={"first_name": "Caroline", "last_name": "Jones", "company": "Acme"})
    with database.engine.begin() as tx:
        found = contacts.find_or_create(tx, int(shop.world.acme), named, now_ms=now_ms())
    assert (found.is_new, found.filled) == (False, ("company",))
    (row,) = shop.database.rows("SELECT * FROM customers WHERE id = :id", id=found.customer_id)
    assert (row["first_name"], row["last_name"], row["company"]) == ("Carol", None, "Acme")


def test_address_and_number_of_two_customers_become_possible_duplicates(shop: Shop, database: Database) -> None:
    number = shop.some_number()
    carol = shop.customer_of(shop.send(user={"email": "carol@example.com"}))
    dave = shop.customer_of(shop.send(user={"phoneNumber": number}))
    both = Contact((*CAROL.identities, ("phone", number, number)), {}, SPRING_MS)
    with database.engine.begin() as tx:
        assert contacts.find_or_create(tx, int(shop.world.acme), both, now_ms=now_ms()).customer_id == carol
    (pair,) = shop.database.rows("SELECT customer_id, other_customer_id FROM possible_duplicates")
    assert (pair["customer_id"], pair["other_customer_id"]) == (min(carol, dave), max(carol, dave))
