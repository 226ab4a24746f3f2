"""The conversation that a request of a customer is about."""

from collections.abc import Sequence

from sqlalchemy import Connection

from shopbell.conversations import customer_view
from shopbell.conversations.customer_view import State
from shopbell.customers import sessions
from shopbell.customers.sessions import CustomerSession
from shopbell.errors import NotFound


class NoConversation(NotFound):
    """404: the session has no conversation yet."""

    def __init__(self) -> None:
        super().__init__()
        self.detail = "This session has no conversation yet. Its first message starts one."
        self.args = (self.detail,)


def find_thread(tx: Connection, session: CustomerSession, wanted: str = "") -> State | None:
    """Return the requested conversation, or None if the session may not see it.

    Args:
        tx: the transaction.
        session: the session.
        wanted: the id as sent; empty for the only or newest one.
    """
    return find_threads(tx, session.organization_id, [(session, wanted)])[0]


def find_threads(
    tx: Connection, organization_id: int, asked: Sequence[tuple[CustomerSession, str]]
) -> list[State | None]:
    """As ``find_thread``, for sessions of one organization, each with what it wants."""
    visible = sessions.threads_of_all(tx, organization_id, [session for session, _ in asked])
    chosen = [
        max((id_ for id_ in visible[session.id] if wanted in ("", str(id_))), default=None) for session, wanted in asked
    ]
    states = customer_view.states(tx, organization_id, {id_ for id_ in chosen if id_ is not None})
    return [None if id_ is None else states.get(id_) for id_ in chosen]


def no_thread(wanted: str) -> NotFound:
    """Return the error if ``find_thread`` finds nothing.

    Args:
        wanted: the id as sent; empty if the request has none.
    """
    return NotFound("customerThreadId", "session") if wanted else NoConversation()
