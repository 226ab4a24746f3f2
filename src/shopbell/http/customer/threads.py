"""``GET /api/customer/threads``: the conversations of a customer."""

from typing import Literal, cast

from fastapi import APIRouter
from pydantic import Field
from sqlalchemy import Connection

from shopbell.conversations import customer_view
from shopbell.conversations.customer_view import UNREAD_AMONG, Summary
from shopbell.customers import sessions
from shopbell.customers.sessions import CustomerSession
from shopbell.http.customer.sessions import TAG
from shopbell.http.request.fields import Fields
from shopbell.http.request.paging import LIMIT_DEFAULT, Cursor, Limit, cursor_of, place_of
from shopbell.http.request.visitor import CurrentVisitor

Status = Literal["waiting", "replied", "resolved"]

router = APIRouter(tags=[TAG])


class OwnThread(Fields):
    """A conversation of the customer."""

    customer_thread_id: str = Field(examples=["12347"])
    business_id: str = Field(description="The business.", examples=["12345"])
    business_name: str = Field(examples=["Acme Boston"])
    status: Status = Field(examples=["replied"])
    last_sequence: int = Field(
        description="The position of the last visible message; 0 if there is none.", examples=[2]
    )
    last_message_at: int | None = Field(
        description="When that message was stored, in Unix milliseconds; `null` if there is none.",
        examples=[1700000000000],
    )
    unread_count: int = Field(
        description=f"The number of unread messages of the business, among the last {UNREAD_AMONG:,} messages.",
        examples=[1],
    )


class OwnThreads(Fields):
    """A page of the customer's conversations, the newest first."""

    threads: list[OwnThread]
    next_cursor: str | None = Field(description="The `cursor` of the next page; `null` on the last.", examples=[None])


@router.get("/api/customer/threads", summary="List the conversations")
async def list_own_threads(visitor: CurrentVisitor, cursor: Cursor = None, limit: Limit = LIMIT_DEFAULT) -> OwnThreads:
    """List the conversations that this session may see, the newest first. An app sees all conversations of its
    customer;
    a widget or a page sees its own."""
    place = place_of(cursor, int)
    before_id = None if place is None else int(place[0])
    found = await visitor.read(_look, before_id, limit + 1)
    page = found[:limit]
    next_cursor = cursor_of(page[-1].thread_id) if len(found) > limit else None
    return OwnThreads(threads=[_shown(each) for each in page], next_cursor=next_cursor)


def _look(tx: Connection, session: CustomerSession, before_id: int | None, limit: int) -> list[Summary]:
    ids = sessions.threads_of(tx, session)
    return customer_view.summaries(tx, session.organization_id, ids, before_id=before_id, limit=limit)


def _shown(summary: Summary) -> OwnThread:
    return OwnThread(
        customer_thread_id=str(summary.thread_id),
        business_id=str(summary.business_id),
        business_name=summary.business_name,
        status=cast("Status", summary.status),
        last_sequence=summary.last_sequence,
        last_message_at=summary.last_message_at_ms,
        unread_count=summary.unread_count,
    )
