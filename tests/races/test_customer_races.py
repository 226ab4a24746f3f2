"""Customers merged, blocked or erased while they write."""

import asyncio
import json
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import cycle
from threading import Event
from typing import Any

import pytest
from sqlalchemy import Connection, make_url

from harness.installation import Installation, Server
from harness.load import send_all
from harness.raw import RawAnswer, post
from harness.shop import WIDGET, Shop
from harness.visitors import ORIGIN, acmes_site
from harness.waiting import wait_until
from harness.world import World
from shopbell.conversations.messages import Outcome, Send, create_customer_messages
from shopbell.customers import blocking, customers, erasure, merges
from shopbell.db.postgres import PostgresDatabase
from shopbell.events.actors import SYSTEM

CUSTOMERS, MESSAGES = 20, 60
WRITERS = 16
WAITING = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
"""How many wait for a lock on PostgreSQL."""


@pytest.fixture(params=["sqlite", "postgresql with 2 workers"])
def variant(request: pytest.FixtureRequest) -> str:
    """An engine, and how many workers."""
    name: str = request.param
    return name


@pytest.fixture
def engine(variant: str) -> str:
    """The engine of the variant."""
    return variant.partition(" ")[0]


@pytest.fixture
def server(variant: str, installation: Installation) -> Iterator[Server]:
    """A running server, with one worker or two."""
    arguments = ["--workers", "2"] if "workers" in variant else []
    with installation.serving(*arguments) as server:
        yield server


class Writers:
    """Customers who write without pause, each in turn by address and by number."""

    def __init__(self, server: Server, people: World) -> None:
        self.server = server
        self.people = people
        self.database = server.installation.database

    def begin(self, *, apart: bool) -> list[tuple[int, int]]:
        """Let each customer write first.

        Args:
            apart: whether the address and the number begin as two customers.

        Returns:
            For each the id of the customer with the address, and of the one with the number.
        """
        users = [user for number in range(CUSTOMERS) for user in _users(number, together=not apart)]
        assert {answer.status for answer in self.send([self.request(user, "first") for user in users])} == {200}
        known = "SELECT customer_id FROM customer_identities WHERE value = :value"
        return [
            (
                self.database.value(known, value=f"carol{number}@example.com"),
                self.database.value(known, value=f"+1617{2_000_000 + number}"),
            )
            for number in range(CUSTOMERS)
        ]

    def request(self, user: dict[str, str], message: str) -> bytes:
        """A message of a customer."""
        body = {"businessId": self.people.boston, "message": message, "user": user}
        return post(
            WIDGET, json.dumps(body).encode(), [("token", self.people.token), ("Content-Type", "application/json")]
        )

    def send(self, requests: list[bytes]) -> list[RawAnswer]:
        """Send all of them."""
        return send_all(self.server.port, requests, connections=WRITERS)

    def all(self) -> list[bytes]:
        """What they write while something happens to them; no two the same."""
        return [
            self.request(_users(number, together=False)[turn % 2], f"message {turn} of {number}")
            for turn in range(MESSAGES)
            for number in range(CUSTOMERS)
        ]

    def do(self, customer_id: int, action: str, **fields: object) -> None:
        """Do something to a customer."""
        answer = self.server.client.post(
            f"/api/customers/{customer_id}/{action}", json=fields, headers={"token": self.people.token}
        )
        assert answer.status_code == 200, answer.text

    def check_sequences(self) -> None:
        """Every conversation counts without gaps, and every message that is seen has its event."""
        rows = self.database.rows("SELECT thread_id, sequence, id FROM messages ORDER BY thread_id, sequence")
        counts = Counter(row["thread_id"] for row in rows)
        assert [row["sequence"] for row in rows] == [n for id_ in sorted(counts) for n in range(1, counts[id_] + 1)]
        events = Counter(
            row["message_id"] for row in self.database.rows("SELECT message_id FROM events WHERE type = 'message'")
        )
        assert {row["id"]: 1 for row in rows} == events


def _users(number: int, *, together: bool) -> list[dict[str, str]]:
    email, phone = {"email": f"carol{number}@example.com"}, {"phoneNumber": f"+1617{2_000_000 + number}"}
    return [email | phone] if together else [email, phone]


@pytest.fixture
def writers(server: Server, people: World) -> Writers:
    """Customers who write."""
    return Writers(server, people)


def test_a_customer_merged_while_writing_continues_in_one_conversation(writers: Writers) -> None:
    pairs = writers.begin(apart=True)
    with ThreadPoolExecutor(1) as beside:
        sending = beside.submit(writers.send, writers.all())
        for kept, other in pairs:
            writers.do(kept, "merge", otherCustomerId=other)
        answers = sending.result()
    assert Counter(answer.status for answer in answers) == {200: CUSTOMERS * MESSAGES}
    writers.check_sequences()
    assert writers.database.value("SELECT count(*) FROM messages") == CUSTOMERS * (MESSAGES + 2)
    # No merged customer got a conversation that they had not had before: all stayed, for all had one with Boston.
    owners = Counter(row["customer_id"] for row in writers.database.rows("SELECT customer_id FROM threads"))
    assert owners == {id_: 1 for pair in pairs for id_ in pair}
    # And what comes afterwards comes to the one who was kept.
    last = writers.send([writers.request(user, "last") for n in range(CUSTOMERS) for user in _users(n, together=False)])
    threads = [int(answer.json()["customerThreadId"]) for answer in last]
    mine = {row["id"]: row["customer_id"] for row in writers.database.rows("SELECT id, customer_id FROM threads")}
    assert [mine[id_] for id_ in threads] == [kept for kept, _ in pairs for _ in range(2)]


def test_after_a_block_is_confirmed_no_message_is_visible(writers: Writers) -> None:
    customers = [kept for kept, _ in writers.begin(apart=False)]
    heard = "SELECT last_sequence FROM threads WHERE customer_id = :id"
    with ThreadPoolExecutor(1) as beside:
        sending = beside.submit(writers.send, writers.all())
        after = {}
        for customer in customers:
            writers.do(customer, "block")
            after[customer] = writers.database.value(heard, id=customer)
        answers = sending.result()
    assert Counter(answer.status for answer in answers) == {200: CUSTOMERS * MESSAGES}
    assert {customer: writers.database.value(heard, id=customer) for customer in customers} == after
    writers.check_sequences()
    stored = [writers.database.value(f"SELECT count(*) FROM {name}") for name in ("messages", "blocked_messages")]
    assert sum(stored) == CUSTOMERS * (MESSAGES + 1)
    assert stored[1] > 0


def test_a_customer_erased_while_writing_becomes_a_new_one_without_leftovers(writers: Writers) -> None:
    customers = [kept for kept, _ in writers.begin(apart=False)]
    with ThreadPoolExecutor(1) as beside:
        sending = beside.submit(writers.send, writers.all())
        for customer in customers:
            writers.do(customer, "erase")
        answers = sending.result()
    assert Counter(answer.status for answer in answers) == {200: CUSTOMERS * MESSAGES}
    writers.check_sequences()
    assert writers.database.value("SELECT count(*) FROM messages") == CUSTOMERS * (MESSAGES + 1)
    left = (
        "SELECT count(*) FROM messages JOIN threads ON threads.id = messages.thread_id"
        " JOIN customers ON customers.id = threads.customer_id WHERE erased_at_ms IS NOT NULL AND body <> ''"
    )
    assert writers.database.value(left) == 0
    # Customers who had written everything before they were erased write once more.
    later = [writers.request(user, "later") for n in range(CUSTOMERS) for user in _users(n, together=True)]
    assert Counter(answer.status for answer in writers.send(later)) == {200: CUSTOMERS}
    known = "SELECT count(*) FROM customer_identities JOIN customers ON customers.id = customer_id WHERE {}"
    assert writers.database.value(known.format("erased_at_ms IS NOT NULL")) == 0
    assert writers.database.value(known.format("erased_at_ms IS NULL")) == 2 * CUSTOMERS


def test_a_visitor_signed_in_on_several_pages_at_once_is_one_customer(server: Server, people: World) -> None:
    site = acmes_site(Shop(server, people))
    subjects = [f"user {number}" for number in range(5)]
    signed = [site.identity_token(sub=subject, email=f"{subject[-1]}@example.com") for subject in subjects]
    begin = {"key": site.key, "businessId": site.business_id}
    headers = [("Content-Type", "application/json"), ("Origin", ORIGIN)]
    requests = [
        post("/api/customer/sessions", json.dumps({**begin, "identityToken": token}).encode(), headers)
        for token in signed
        for _ in range(6)
    ]
    answers = send_all(server.port, requests, connections=WRITERS)
    assert Counter(answer.status for answer in answers) == {200: len(requests)}
    database = server.installation.database
    known = {row["subject"]: row["customer_id"] for row in database.rows("SELECT * FROM external_identities")}
    assert sorted(known) == subjects
    assert sorted(row["id"] for row in database.rows("SELECT id FROM customers")) == sorted(known.values())
    sessions = Counter(row["customer_id"] for row in database.rows("SELECT customer_id FROM customer_sessions"))
    assert sessions == dict.fromkeys(known.values(), 6)


class Interrupted:
    """A batch of one message, on a database where something happens to its customer once he was looked up."""

    def __init__(self, installation: Installation, people: World, options: str = "") -> None:
        url = make_url(installation.database.url).set(drivername="postgresql+psycopg")
        self._database = PostgresDatabase(url.update_query_dict({"options": options}))
        self._acme, self._boston = int(people.acme), int(people.boston)
        self.tries = 0

    def send(
        self,
        user: str,
        body: str,
        meanwhile: Callable[[Connection, int], Any] | None = None,
        *,
        at_each_try: Callable[[], None] = lambda: None,
        business_id: str = "",
        locale: str | None = None,
    ) -> None:
        """Send a message of the customer who has this address, or claims it.

        Args:
            user: the address.
            body: the message.
            meanwhile: what another transaction does once the customer has been looked up for the first time.
            at_each_try: what is done each time that they have been looked up.
            business_id: the business; Boston unless given.
            locale: the language.
        """
        identity = (self._acme, "email", user)
        send = Send(self._acme, int(business_id or self._boston), body, ((identity, user),), locale)

        def program() -> Any:
            batch = create_customer_messages([send])
            self.tries += 1
            rows = yield next(batch)
            if meanwhile is not None and self.tries == 1:
                self._database.write_now(meanwhile, self._acme)
            at_each_try()
            try:
                while True:
                    rows = yield batch.send(rows)
            except StopIteration as end:
                return end.value

        async def run() -> list[Outcome]:
            try:
                return await self._database.run(program)
            finally:
                await self._database.close()

        self.tries = 0
        asyncio.run(run())


@pytest.mark.parametrize("variant", ["postgresql"], indirect=True)
@pytest.mark.parametrize("what", ["merge", "block", "erase"])
def test_a_batch_with_an_outdated_customer_looks_again(installation: Installation, people: World, what: str) -> None:
    batch, database = Interrupted(installation, people), installation.database
    for user in ("carol@example.com", "dave@example.com"):
        batch.send(user, "first")
        assert batch.tries == 1
    known = "SELECT customer_id FROM customer_identities WHERE value = :value"
    carol, dave = (database.value(known, value=f"{name}@example.com") for name in ("carol", "dave"))

    def meanwhile(tx: Connection, acme: int) -> None:
        if what == "merge":
            merges.merge(tx, acme, carol, dave, actor=SYSTEM)
        elif what == "block":
            blocking.set_blocked(tx, acme, dave, actor=SYSTEM, blocked=True)
        else:
            erasure.forget(tx, acme, dave, actor=SYSTEM)

    batch.send("dave@example.com", "second", meanwhile)
    assert batch.tries == 2
    (daves,) = database.rows("SELECT id, last_sequence FROM threads WHERE customer_id = :id", id=dave)
    assert daves["last_sequence"] == 1
    if what == "block":
        assert database.value("SELECT body FROM blocked_messages WHERE customer_id = :id", id=dave) == "second"
    else:
        owner = "SELECT customer_id FROM threads JOIN messages ON threads.id = thread_id WHERE body = 'second'"
        assert database.value(owner) == database.value(known, value="dave@example.com")
        assert (database.value(owner) == carol) == (what == "merge")


@pytest.mark.parametrize("variant", ["postgresql"], indirect=True)
@pytest.mark.parametrize("level", [r"read\ committed", "serializable"])
def test_a_batch_that_lost_a_race_is_written_before_the_next_change(
    installation: Installation, people: World, level: str
) -> None:
    batch = Interrupted(installation, people, f"-c default_transaction_isolation={level}")
    database, acme = installation.database, int(people.acme)
    for user in ("carol@example.com", "dave@example.com"):
        batch.send(user, "first")
    dave = database.value("SELECT customer_id FROM customer_identities WHERE value = 'dave@example.com'")
    ended = Event()

    def change_without_pause() -> None:
        for blocked in cycle((True, False)):
            if ended.is_set():
                return
            with database.connection() as tx:
                blocking.set_blocked(tx, acme, dave, actor=SYSTEM, blocked=blocked)

    changes = "SELECT customer_changes FROM feeds WHERE organization_id = :acme"

    def let_one_more_be_made() -> None:
        before = database.value(changes, acme=acme)
        wait_until(
            lambda: database.value(changes, acme=acme) > before or database.value(WAITING),
            lambda: "customers are neither changed, nor does who changes them wait",
        )

    with ThreadPoolExecutor(1) as beside:
        changing = beside.submit(change_without_pause)
        try:
            batch.send("carol@example.com", "second", at_each_try=let_one_more_be_made)
        finally:
            ended.set()
        changing.result()
    assert batch.tries == 2
    assert database.value("SELECT count(*) FROM messages WHERE body = 'second'") == 1


@pytest.mark.parametrize("variant", ["postgresql"], indirect=True)
@pytest.mark.parametrize("locale", [None, "fr"], ids=["in a new conversation", "in another language"])
def test_writing_while_a_profile_changes_causes_no_deadlock(
    installation: Installation, people: World, locale: str | None
) -> None:
    batch, database = Interrupted(installation, people), installation.database
    batch.send("carol@example.com", "first")
    carol, acme = database.value("SELECT id FROM customers"), int(people.acme)
    with ThreadPoolExecutor(1) as beside:
        with database.connection() as tx:
            customers.lock(tx, acme, carol)
            sending = beside.submit(batch.send, "carol@example.com", "second", business_id=people.paris, locale=locale)
            deadline_s = time.monotonic() + 60
            while not sending.done() and not database.value(WAITING):
                assert time.monotonic() < deadline_s, "the message neither comes nor waits"
            customers.update_profile(tx, acme, carol, {"first_name": "Carol"}, actor=SYSTEM)
        sending.result()
    assert batch.tries == 1
    assert database.value("SELECT count(*) FROM messages") == 2
    assert database.value("SELECT first_name FROM customers") == "Carol"
