"""What streams of customers read: any number of them in a few statements."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from sqlalchemy import Connection

from shopbell.conversations import customer_view
from shopbell.conversations.customer_view import Line, State
from shopbell.customers import sessions
from shopbell.customers.sessions import CustomerSession
from shopbell.http.customer.current_thread import find_threads, no_thread
from shopbell.http.request.customer_sessions import NoSession
from shopbell.runtime import clock

PAGE_LINES = 50


class Wanted(NamedTuple):
    """The conversation that a request asks for.

    Args:
        session: its session.
        name: the id of the conversation as sent; empty for the only or newest one.
    """

    session: CustomerSession
    name: str


class Look(NamedTuple):
    """One stream's read of its conversation.

    Args:
        organization_id: its organization.
        token_hash: the hash of its session's token.
        wanted: the conversation as requested, if it may have changed to another one; otherwise None.
        thread_id: the conversation until now.
        after_sequence: only messages after this one.
    """

    organization_id: int
    token_hash: str
    wanted: str | None
    thread_id: int
    after_sequence: int


class Found(NamedTuple):
    """What a look has found.

    Args:
        session: the session as it is now; it is valid.
        state: the state of the conversation, which may be another one than before.
        lines: the next messages, at most ``PAGE_LINES``; none of another conversation.
        encoded: the bytes of messages that streams of the same batch have encoded.
    """

    session: CustomerSession
    state: State
    lines: list[Line]
    encoded: dict[tuple[int, str], bytes]


def find_wanted(tx: Connection, wanted: Sequence[Wanted]) -> list[State | None]:
    """Return the conversation of each request; None if it has none, or may not see it."""
    found: dict[int, State | None] = {}
    for organization_id, places in _by_organization(one.session.organization_id for one in wanted).items():
        found |= zip(places, find_threads(tx, organization_id, [wanted[place] for place in places]), strict=True)
    return [found[place] for place in range(len(wanted))]


def look(tx: Connection, looks: Sequence[Look]) -> list[Found | Exception]:
    """Read conversations of sessions that must still be valid.

    Returns:
        What each look has found, or its error: ``NoSession`` 401, ``NotFound`` 404.
    """
    now_ms = clock.now_ms()
    sessions_now = sessions.find_all(tx, {one.token_hash for one in looks})
    result: list[Found | Exception] = [NoSession() for _ in looks]
    encoded: dict[tuple[int, str], bytes] = {}
    for organization_id, places in _by_organization(one.organization_id for one in looks).items():
        asked = {}
        for place in places:
            session = sessions_now.get(looks[place].token_hash)
            if session is not None and session.is_valid(now_ms):
                asked[place] = session, looks[place]
        found = _conversations(tx, organization_id, list(asked.values()))
        for (place, (session, one)), (state, lines) in zip(asked.items(), found, strict=True):
            if state is None:
                result[place] = no_thread(one.wanted or "")
            else:
                result[place] = Found(session, state, lines, encoded)
    return result


def _conversations(
    tx: Connection, organization_id: int, asked: Sequence[tuple[CustomerSession, Look]]
) -> list[tuple[State | None, list[Line]]]:
    """The state and the next messages of each conversation of one organization."""
    searched = [(session, one.wanted) for session, one in asked if one.wanted is not None]
    kept = {one.thread_id for _, one in asked if one.wanted is None}
    found = iter(find_threads(tx, organization_id, searched) if searched else ())
    states_of = customer_view.states(tx, organization_id, kept) if kept else {}
    states = [states_of.get(one.thread_id) if one.wanted is None else next(found) for _, one in asked]
    places = [(one.thread_id, one.after_sequence) for _, one in asked]
    unread = {
        place
        for place, state in zip(places, states, strict=True)
        if state is not None and state.thread_id == place[0] and state.last_sequence > place[1]
    }
    lines = customer_view.pages(tx, organization_id, unread, limit=PAGE_LINES)
    return [(state, lines.get(place, [])) for place, state in zip(places, states, strict=True)]


def _by_organization(organization_ids: Iterable[int]) -> dict[int, list[int]]:
    """The places of each organization in a list."""
    places: dict[int, list[int]] = {}
    for place, organization_id in enumerate(organization_ids):
        places.setdefault(organization_id, []).append(place)
    return places
