"""Conversations change hands: transfer to another business, assignment to an employee."""

from typing import Annotated

from fastapi import APIRouter
from pydantic import Field

from shopbell import handovers
from shopbell.http.api.access import WritesThreads
from shopbell.http.api.body import Body, described, takes
from shopbell.http.api.fields import Fields, Id
from shopbell.http.api.results import Ok

router = APIRouter(tags=["threads"])


class TransferThread(Fields):
    """Where a conversation goes."""

    customer_thread_id: Id = Field(description="The conversation.", examples=["12347"])
    business_id: Id = Field(description="Another active business of the organization.", examples=["12350"])
    employee_user_id: Id | None = Field(None, description="The employee who transfers it; a program unless given.")


class AssignThread(Fields):
    """Who looks after a conversation."""

    customer_thread_id: Id = Field(description="The conversation.", examples=["12347"])
    employee_user_id: Id = Field(description="An active employee of the organization.", examples=["12351"])


class UnassignThread(Fields):
    """A conversation that nobody in particular shall look after."""

    customer_thread_id: Id = Field(description="The conversation.", examples=["12347"])


@router.post(
    "/api/transfer-customer-thread",
    openapi_extra=described(TransferThread),
    summary="Transfer a conversation to another business",
)
async def transfer_customer_thread(
    caller: WritesThreads, body: Annotated[Body[TransferThread], takes(TransferThread)]
) -> Ok:
    """Hand a conversation over to another business of the organization, with all its messages.

    Its id, its status and its assignee stay as they are. Webhooks that subscribed `transfers` are told. When the
    customer writes to the former business again, a new conversation begins there.

    409, and nothing is changed, where the conversation is with that business already, where the business is closed,
    and where the customer has another conversation with it: there is one for each customer and business.
    """
    fields = body.fields
    await caller.write(
        handovers.transfer, fields.customer_thread_id, fields.business_id, employee_id=fields.employee_user_id
    )
    return Ok()


@router.post(
    "/api/assign-customer-thread", openapi_extra=described(AssignThread), summary="Assign a conversation to an employee"
)
async def assign_customer_thread(caller: WritesThreads, body: Annotated[Body[AssignThread], takes(AssignThread)]) -> Ok:
    """Let an employee look after a conversation, whoever did before. Its status stays as it is."""
    await caller.write(handovers.assign, body.fields.customer_thread_id, body.fields.employee_user_id)
    return Ok()


@router.post(
    "/api/unassign-customer-thread",
    openapi_extra=described(UnassignThread),
    summary="Take a conversation from its assignee",
)
async def unassign_customer_thread(
    caller: WritesThreads, body: Annotated[Body[UnassignThread], takes(UnassignThread)]
) -> Ok:
    """Let nobody in particular look after a conversation; one that is nobody's stays so."""
    await caller.write(handovers.unassign, body.fields.customer_thread_id)
    return Ok()
