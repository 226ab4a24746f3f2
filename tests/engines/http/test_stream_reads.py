"""Streams of customers read together what each would read alone."""

import asyncio
import random
import time
from collections.abc import Iterator

import pytest
from sqlalchemy import event

from harness.installation import SECRET_KEY, Installation
from harness.outbox import Outbox
from harness.statements import Recorded
from harness.world import World
from shopbell.conversations import customer_view
from shopbell.customers import sessions
from shopbell.db.connect import open_database
from shopbell.db.database import Database
from shopbell.errors import NotFound
from shopbell.http.customer.current_thread import find_thread
from shopbell.http.request.customer_sessions import CustomerSessions, NoSession
from shopbell.http.streams import customer_look
from shopbell.http.streams.customer_look import Found, Look, Wanted
from shopbell.security.keys import Keys
from shopbell.settings.settings import load

KEYS = Keys((SECRET_KEY.encode(),)).derive(sessions.KEY_PURPOSE)
LONG, LIMIT = 130, 50


@pytest.fixture
def database(installation: Installation, people: World, monkeypatch: pytest.MonkeyPatch) -> Iterator[Database]:
    assert people
    for name, value in installation.environment.items():
        monkeypatch.setenv(name, value)
    opened = open_database(load())
    yield opened
    opened.engine.dispose()


class Places:
    """Threads of Acme and of Globex with messages and notes, each with a session."""

    def __init__(self, installation: Installation, people: World, database: Database) -> None:
        outbox = Outbox(installation, people, database)
        self.acme, self.globex = outbox.acme, int(people.globex)
        organization_ids = (self.acme, self.acme, self.globex, self.acme)
        self.threads = [outbox.thread(organization_id) for organization_id in organization_ids]
        self.database = database
        now_ms = time.time_ns() // 1_000_000
        self.sessions = [
            database.write_now(
                sessions.create,
                KEYS,
                organization_id,
                "page",
                thread.customer_id,
                thread_id=thread.id,
                now_ms=now_ms,
            )[0]
            for organization_id, thread in zip(organization_ids, self.threads, strict=True)
        ]
        for place, (thread, last) in enumerate(zip(self.threads, (LONG, 7, 3, 0), strict=True)):
            for sequence in range(1, last + 1):
                installation.database.change(
                    "INSERT INTO messages"
                    " (organization_id, thread_id, sequence, id, from_customer, internal, body, created_at_ms)"
                    " VALUES (:o, :t, :s, :id, :is_customers, :is_note, 'hello', 1)",
                    o=organization_ids[place],
                    t=thread.id,
                    s=sequence,
                    id=10**12 + 1_000 * place + sequence,
                    is_customers=sequence % 2 == 0,
                    is_note=sequence % 3 == 0,
                )
            installation.database.change("UPDATE threads SET last_sequence = :s WHERE id = :t", s=last, t=thread.id)

    def look(self, place: int, after: int = 0, wanted: str | None = None) -> Look:
        """One stream's read."""
        session, thread = self.sessions[place], self.threads[place]
        return Look(session.organization_id, session.token_hash, wanted, thread.id, after)

    def found(self, *looks: Look) -> list[Found | Exception]:
        """What they find together."""
        return self.database.read_now(customer_look.look, looks)


@pytest.fixture
def places(installation: Installation, people: World, database: Database) -> Places:
    return Places(installation, people, database)


def test_pages_are_what_each_place_reads_alone(places: Places) -> None:
    thread, other, _, empty = places.threads
    moments = random.Random(7)
    wanted = {(thread.id, moments.randrange(LONG + 3)) for _ in range(20)}
    wanted |= {(thread.id, 0), (other.id, 0), (other.id, 5), (empty.id, 0)}
    acme = places.acme
    pages = places.database.read_now(customer_view.pages, acme, wanted, limit=LIMIT)
    alone = {
        (thread_id, after): places.database.read_now(
            customer_view.lines, acme, thread_id, after_sequence=after, limit=LIMIT
        )
        for thread_id, after in wanted
    }
    assert pages == alone
    assert len(pages[thread.id, 0]) == LIMIT


def test_pages_of_another_organization_are_empty(places: Places) -> None:
    acmes = places.threads[0]
    wanted = [(acmes.id, 0)]
    pages = places.database.read_now(customer_view.pages, places.globex, wanted, limit=LIMIT)
    assert pages == {(acmes.id, 0): []}


def test_streams_of_several_organizations_read_together_what_is_theirs(places: Places) -> None:
    looks = [places.look(1, 2), places.look(2), places.look(0, 120), places.look(3), places.look(1, 2, wanted="")]
    found = places.found(*looks)
    for look, each in zip(looks, found, strict=True):
        (alone,) = places.found(look)
        assert isinstance(each, Found)
        assert each == alone
    assert [len(each.lines) for each in found if isinstance(each, Found)] == [3, 2, 7, 0, 3]


def test_one_invalid_session_fails_only_its_stream(places: Places) -> None:
    session = places.sessions[1]
    places.database.write_now(sessions.revoke, session.organization_id, session.id, now_ms=1)
    one, other, another = places.found(places.look(0), places.look(1), places.look(2, wanted="1"))
    assert isinstance(one, Found)
    assert isinstance(other, NoSession)
    assert isinstance(another, NotFound)


def test_any_number_of_streams_takes_the_same_number_of_statements(places: Places) -> None:
    def statements(*looks: Look) -> int:
        counted: list[str] = []
        engine = places.database.engine

        def count(*given: object) -> None:
            counted.append(str(given[2]))

        event.listen(engine, "before_cursor_execute", count)
        places.found(*looks)
        event.remove(engine, "before_cursor_execute", count)
        return len(counted)

    one = statements(places.look(0))
    assert statements(*(places.look(0, after) for after in range(60)), places.look(1), places.look(3)) == one


def test_a_page_reads_no_more_messages_than_it_has(places: Places) -> None:
    if places.database.engine.dialect.name != "sqlite":
        return

    def plans(tx: object) -> list[str]:
        recorded = Recorded(tx)  # type: ignore[arg-type]
        customer_view.pages(tx, places.acme, [(places.threads[0].id, 0)], limit=LIMIT)  # type: ignore[arg-type]
        return recorded.plans()

    steps = [step for step in places.database.write_now(plans) if "messages" in step or "later" in step]
    assert len(steps) == 2
    assert all("thread_id=? AND sequence>?" in step for step in steps), steps


def test_requests_find_together_the_conversation_that_each_would_find(places: Places) -> None:
    wanted = [
        *(Wanted(session, "") for session in places.sessions),
        *(Wanted(session, str(places.threads[0].id)) for session in places.sessions),
    ]
    found = places.database.read_now(customer_look.find_wanted, wanted)
    assert found == [places.database.read_now(find_thread, *one) for one in wanted]
    assert [state is not None for state in found] == [True] * 5 + [False] * 3


def test_a_session_of_the_previous_secret_key_can_open_a_stream(places: Places) -> None:
    thread = places.threads[0]
    former, current = Keys((SECRET_KEY.encode(),)), Keys((b"the next secret key" * 2, SECRET_KEY.encode()))
    _, token = places.database.write_now(
        sessions.create,
        former.derive(sessions.KEY_PURPOSE),
        places.acme,
        "page",
        thread.customer_id,
        thread_id=thread.id,
        now_ms=time.time_ns() // 1_000_000,
    )
    session = asyncio.run(CustomerSessions(places.database, current).session_by(token))
    (found,) = places.found(Look(places.acme, session.token_hash, None, thread.id, 0))
    assert isinstance(found, Found)
