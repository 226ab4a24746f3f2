"""``POST /api/customer/read`` and ``…/typing``: show the business what a customer reads and that they are typing."""

from typing import Annotated

from fastapi import APIRouter
from pydantic import Field
from sqlalchemy import Connection

from shopbell.conversations import read_receipts
from shopbell.conversations.customer_view import State
from shopbell.customers.sessions import CustomerSession
from shopbell.http.customer.current_thread import find_thread
from shopbell.http.customer.sessions import TAG
from shopbell.http.request.fields import Fields, Id
from shopbell.http.request.json_body import Body, body_schema, json_body
from shopbell.http.request.results import Ok
from shopbell.http.request.visitor import CurrentVisitor
from shopbell.notifications import delivery_status
from shopbell.realtime.signals import Signal
from shopbell.runtime import clock

router = APIRouter(tags=[TAG])

_SEQUENCE_MAX = 2**31 - 1


class HasRead(Fields):
    """The last message that the customer has read."""

    sequence: Annotated[int, Field(ge=0, le=_SEQUENCE_MAX)] = Field(
        description="The position of the last message that was read.", examples=[2]
    )
    customer_thread_id: Id | None = Field(None, description="For apps: the conversation.")


class IsTyping(Fields):
    """The customer is typing."""

    customer_thread_id: Id | None = Field(None, description="For apps: the conversation.")


@router.post("/api/customer/read", summary="Mark messages as read", openapi_extra=body_schema(HasRead))
async def note_read(visitor: CurrentVisitor, body: Annotated[Body[HasRead], json_body(HasRead)]) -> Ok:
    """Mark all messages up to one as read by the customer. The mark never moves back."""

    def work(tx: Connection, session: CustomerSession, now_ms: int) -> tuple[State, int] | None:
        state = find_thread(tx, session, _named(body.fields.customer_thread_id))
        if state is None:
            return None
        place = body.fields.sequence
        moved = read_receipts.mark(tx, session.organization_id, state.thread_id, "customer", place, now_ms=now_ms)
        if moved is None:
            return None
        delivery_status.note_read(tx, session.organization_id, state.thread_id, moved, now_ms=now_ms)
        return state, moved

    moved = await visitor.write(work, clock.now_ms())
    if moved is not None:
        state, place = moved
        data = {"from": "customer", "by": "customer", "sequence": place}
        thread = (visitor.organization_id, state.thread_id, state.business_id)
        visitor.services.pubsub.signal(Signal(*thread, "read", data))
    return Ok()


@router.post("/api/customer/typing", summary="Show that the customer is typing", openapi_extra=body_schema(IsTyping))
async def show_typing(visitor: CurrentVisitor, body: Annotated[Body[IsTyping], json_body(IsTyping)]) -> Ok:
    """Show the business that the customer is typing. Nothing is stored."""
    state = await visitor.read(find_thread, _named(body.fields.customer_thread_id))
    if state is not None:
        thread = (visitor.organization_id, state.thread_id, state.business_id)
        visitor.services.pubsub.signal(Signal(*thread, "typing", {"from": "customer"}))
    return Ok()


def _named(thread_id: int | None) -> str:
    return "" if thread_id is None else str(thread_id)
