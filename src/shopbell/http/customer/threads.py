"""``GET /api/customer/threads``: the conversations that an app shows its customer to choose from."""

from typing import Literal, cast

from fastapi import APIRouter
from pydantic import Field
from sqlalchemy import Connection

from shopbell import conversation, customer_sessions
from shopbell.conversation import UNREAD_AMONG, Summary
from shopbell.customer_sessions import CustomerSession
from shopbell.http.api.fields import Fields
from shopbell.http.api.paging import LIMIT_DEFAULT, Cursor, Limit, cursor_of, place_of
from shopbell.http.customer.access import CustomersBrowser
from shopbell.http.customer.sessions import TAG

Status = Literal["waiting", "replied", "resolved"]

router = APIRouter(tags=[TAG])


class OwnThread(Fields):
    """A conversation of the customer."""

    customer_thread_id: str = Field(examples=["12347"])
    business_id: str = Field(description="With whom.", examples=["12345"])
    business_name: str = Field(examples=["Acme Boston"])
    status: Status = Field(examples=["replied"])
    last_sequence: int = Field(
        description="The place of the last message that he sees; 0 when none is left.", examples=[2]
    )
    last_message_at: int | None = Field(
        description="When that one was stored, in Unix milliseconds; `null` when none is left.",
        examples=[1700000000000],
    )
    unread_count: int = Field(
        description=f"How many of the store's messages he has not read, of the last {UNREAD_AMONG:,} in all.",
        examples=[1],
    )


class OwnThreads(Fields):
    """A page of the customer's conversations, the newest first."""

    threads: list[OwnThread]
    next_cursor: str | None = Field(description="The `cursor` of the next page; `null` on the last.", examples=[None])


@router.get("/api/customer/threads", summary="List the conversations")
async def list_own_threads(
    visitor: CustomersBrowser, cursor: Cursor = None, limit: Limit = LIMIT_DEFAULT
) -> OwnThreads:
    """List the conversations that this session may see, the newest first: of an app all of its customer's, of a widget
    or a page the one that it is about, once there is one."""
    place = place_of(cursor, int)
    before_id = None if place is None else int(place[0])
    found = await visitor.read(_look, before_id, limit + 1)
    page = found[:limit]
    next_cursor = cursor_of(page[-1].thread_id) if len(found) > limit else None
    return OwnThreads(threads=[_shown(each) for each in page], next_cursor=next_cursor)


def _look(tx: Connection, session: CustomerSession, before_id: int | None, limit: int) -> list[Summary]:
    ids = customer_sessions.threads_of(tx, session)
    return conversation.summaries(tx, session.organization_id, ids, before_id=before_id, limit=limit)


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
