"""Transfer conversations to another business, and assign them to employees."""

from typing import Annotated

from fastapi import APIRouter
from pydantic import Field

from shopbell.conversations import assignment
from shopbell.http.request.caller import WritesSomeThreads
from shopbell.http.request.fields import Fields, Id
from shopbell.http.request.json_body import Body, body_schema, json_body
from shopbell.http.request.results import Ok

router = APIRouter(tags=["threads"])


class TransferThread(Fields):
    """The target of a transfer."""

    customer_thread_id: Id = Field(description="The conversation.", examples=["12347"])
    business_id: Id = Field(description="Another active business of the organization.", examples=["12350"])
    employee_user_id: Id | None = Field(None, description="The employee who transfers it. Absent if a program does.")


class AssignThread(Fields):
    """The new assignee of a conversation."""

    customer_thread_id: Id = Field(description="The conversation.", examples=["12347"])
    employee_user_id: Id = Field(description="An active employee of the organization.", examples=["12351"])


class UnassignThread(Fields):
    """The conversation to unassign."""

    customer_thread_id: Id = Field(description="The conversation.", examples=["12347"])


@router.post(
    "/api/transfer-customer-thread",
    openapi_extra=body_schema(TransferThread),
    summary="Transfer a conversation to another business",
)
async def transfer_customer_thread(
    caller: WritesSomeThreads, body: Annotated[Body[TransferThread], json_body(TransferThread)]
) -> Ok:
    """Transfer a conversation with all its messages to another business of the organization.

    Its id, status and assignee stay the same. Webhooks that subscribe to `transfers` are notified. If the customer
    writes to the previous business again, a new conversation begins there.

    409 if the conversation is already with that business, if the business is closed, or if the customer has another
    conversation with it: there is one for each customer and business. Nothing is changed then.
    """
    fields = body.fields
    actor = caller.actor(fields.employee_user_id)
    await caller.check_thread(fields.customer_thread_id)
    caller.check_business(fields.business_id)
    await caller.write(assignment.transfer, fields.customer_thread_id, fields.business_id, actor=actor)
    return Ok()


@router.post(
    "/api/assign-customer-thread",
    openapi_extra=body_schema(AssignThread),
    summary="Assign a conversation to an employee",
)
async def assign_customer_thread(
    caller: WritesSomeThreads, body: Annotated[Body[AssignThread], json_body(AssignThread)]
) -> Ok:
    """Assign a conversation to an employee, and replace the previous assignee. Its status stays the same."""
    await caller.check_thread(body.fields.customer_thread_id)
    await caller.write(
        assignment.assign, body.fields.customer_thread_id, body.fields.employee_user_id, actor=caller.actor()
    )
    return Ok()


@router.post(
    "/api/unassign-customer-thread",
    openapi_extra=body_schema(UnassignThread),
    summary="Unassign a conversation",
)
async def unassign_customer_thread(
    caller: WritesSomeThreads, body: Annotated[Body[UnassignThread], json_body(UnassignThread)]
) -> Ok:
    """Remove the assignee of a conversation, if there is one."""
    await caller.check_thread(body.fields.customer_thread_id)
    await caller.write(assignment.unassign, body.fields.customer_thread_id, actor=caller.actor())
    return Ok()
