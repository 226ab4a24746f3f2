"""``POST /api/customer/read`` and ``…/typing``: what the store sees of a customer who is there."""

import time
from typing import Annotated

from fastapi import APIRouter
from pydantic import Field
from sqlalchemy import Connection

from shopbell import reading
from shopbell.conversation import State
from shopbell.customer_sessions import CustomerSession
from shopbell.http.api.body import Body, described, takes
from shopbell.http.api.fields import Fields, Id
from shopbell.http.api.results import Ok
from shopbell.http.customer.access import CustomersBrowser
from shopbell.http.customer.sessions import TAG
from shopbell.http.customer.stream import find_thread
from shopbell.outreach import deliveries
from shopbell.wakes.signals import Signal

router = APIRouter(tags=[TAG])

_SEQUENCE_MAX = 2**31 - 1


class HasRead(Fields):
    """Up to where the customer has read."""

    sequence: Annotated[int, Field(ge=0, le=_SEQUENCE_MAX)] = Field(
        description="The place of the last message that he saw.", examples=[2]
    )
    customer_thread_id: Id | None = Field(None, description="For apps: in which conversation.")


class IsTyping(Fields):
    """The customer is writing."""

    customer_thread_id: Id | None = Field(None, description="For apps: in which conversation.")


@router.post("/api/customer/read", summary="Note what was read", openapi_extra=described(HasRead))
async def note_read(visitor: CustomersBrowser, body: Annotated[Body[HasRead], takes(HasRead)]) -> Ok:
    """Note up to which message the customer has read; the mark never goes back."""

    def work(tx: Connection, session: CustomerSession, now_ms: int) -> tuple[State, int] | None:
        state = find_thread(tx, session, _named(body.fields.customer_thread_id))
        if state is None:
            return None
        place = body.fields.sequence
        moved = reading.mark(tx, session.organization_id, state.thread_id, "customer", place, now_ms=now_ms)
        if moved is None:
            return None
        deliveries.note_read(tx, session.organization_id, state.thread_id, moved, now_ms=now_ms)
        return state, moved

    moved = await visitor.write(work, time.time_ns() // 1_000_000)
    if moved is not None:
        state, place = moved
        data = {"from": "customer", "by": "customer", "sequence": place}
        thread = (visitor.organization_id, state.thread_id, state.business_id)
        visitor.api.wakes.signal(Signal(*thread, "read", data))
    return Ok()


@router.post("/api/customer/typing", summary="Show that the customer writes", openapi_extra=described(IsTyping))
async def show_typing(visitor: CustomersBrowser, body: Annotated[Body[IsTyping], takes(IsTyping)]) -> Ok:
    """Show those who look at the conversation that its customer is writing; nothing is kept of it."""
    state = await visitor.read(find_thread, _named(body.fields.customer_thread_id))
    if state is not None:
        thread = (visitor.organization_id, state.thread_id, state.business_id)
        visitor.api.wakes.signal(Signal(*thread, "typing", {"from": "customer"}))
    return Ok()


def _named(thread_id: int | None) -> str:
    return "" if thread_id is None else str(thread_id)
