"""``POST /api/inbox/start-conversation``: write to a customer first."""

from collections.abc import Mapping
from typing import Annotated

from fastapi import APIRouter, Response
from pydantic import Field, StringConstraints
from sqlalchemy import Connection

from shopbell.conversations.replies import Reply
from shopbell.errors import FieldError, Invalid, NotFound
from shopbell.formats import identities
from shopbell.formats.channels import ChannelName
from shopbell.http.api.messages import store
from shopbell.http.request.caller import Caller, WritesSomeThreads
from shopbell.http.request.fields import Fields, Id, Line, MessageText
from shopbell.http.request.json_body import Body, body_schema, json_body
from shopbell.inbox import starts
from shopbell.inbox.starts import Started
from shopbell.organizations import employees, organizations
from shopbell.runtime.clock import now_ms

ROUTE = "/api/inbox/start-conversation"
_NAMES = ("first_name", "last_name")

router = APIRouter(tags=["inbox"])


class StartConversation(Fields):
    """The first message to a customer."""

    business_id: Id = Field(description="The business that writes.", examples=["12345"])
    customer_id: Id | None = Field(None, description="A customer who already exists.", examples=["12346"])
    email_address: Annotated[str, StringConstraints(max_length=identities.EMAIL_MAX_CHARACTERS)] | None = Field(
        None,
        description="Instead of `customerId`: the customer with this email address. If there is none, one is created.",
    )
    phone_number: Annotated[str, StringConstraints(max_length=identities.PHONE_MAX_CHARACTERS)] | None = Field(
        None,
        description="Instead of `customerId`: the customer with this phone number. If there is none, one is created. "
        "Without a country code, it is a number of the country of the business.",
    )
    first_name: Line | None = Field(None, description="For a customer who is created.")
    last_name: Line | None = Field(None, description="For a customer who is created.")
    text: MessageText = Field(description="The message.", examples=["Your order is ready."])
    channel: ChannelName | None = Field(
        None, description="The channel to send it by. Default: that of the address, or of the conversation."
    )
    employee_user_id: Id | None = Field(None, description="The employee who sends it.")

    @classmethod
    def check_together(cls, sent: Mapping[str, object]) -> list[FieldError]:
        """Require one way to name the customer."""
        if len({"customer_id", "email_address", "phone_number"} & {*sent}) == 1:
            return []
        detail = "must contain exactly one of customerId, emailAddress and phoneNumber"
        return [FieldError("", "exactly_one_required", detail)]


class ConversationStarted(Fields):
    """The message is stored."""

    customer_thread_id: str = Field(
        description="The conversation: a new one, or the one that the customer already has with the business.",
        examples=["12347"],
    )
    message_id: str = Field(examples=["12351"])


@router.post(ROUTE, summary="Start a conversation", openapi_extra=body_schema(StartConversation, idempotent=True))
async def start_conversation(
    caller: WritesSomeThreads,
    body: Annotated[Body[StartConversation], json_body(StartConversation)],
    response: Response,
) -> ConversationStarted:
    """Write to a customer first, by email or SMS.

    A customer has one conversation with each business: if there is one, the message is added to it. 409 if the business
    is closed, if the customer was erased, or for the same reasons as a reply. A request with an `Idempotency-Key` can
    be repeated safely.
    """
    fields = body.fields
    actor = caller.actor(fields.employee_user_id)
    caller.check_business(fields.business_id)
    key = None if body.idempotency_key is None else (caller.organization_id, caller.id, ROUTE, body.idempotency_key)
    # First: if the conversation was transferred since, the customer would get another one here, without a message.
    if key is not None and (started := await caller.read(starts.find_started, key, body.hash())) is not None:
        return _started(started, response, replayed=True)
    if fields.employee_user_id is not None:
        await caller.read(_check_employee, fields.employee_user_id)
    # A repeated request finds the customer and the conversation, so only the message needs the key.
    thread_id, channel = await _find_thread(caller, fields)
    replied = await store(
        caller,
        Reply(
            organization_id=caller.organization_id,
            actor=actor,
            thread_id=thread_id,
            body=fields.text,
            channel=fields.channel or channel,
            key=key,
            body_hash=None if key is None else body.hash(),
        ),
    )
    return _started(Started(thread_id, replied.message_id), response, replayed=replied.replayed)


def _started(started: Started, response: Response, *, replayed: bool) -> ConversationStarted:
    if replayed:
        response.headers["Idempotent-Replayed"] = "true"
    return ConversationStarted(customer_thread_id=str(started.thread_id), message_id=str(started.message_id))


def _check_employee(tx: Connection, organization_id: int, employee_id: int) -> None:
    if not employees.is_active(tx, organization_id, employee_id):
        raise NotFound("employeeUserId")


async def _find_thread(caller: Caller, fields: StartConversation) -> tuple[int, ChannelName | None]:
    """Find or create the conversation; returns its id and the channel of the address.

    Raises:
        Invalid: 400; the address is not valid.
        NotFound: 404.
        Conflict: 409.
        StorageError: 503.
    """
    business_id, at_ms = fields.business_id, now_ms()
    if fields.customer_id is not None:
        await caller.check_customer(fields.customer_id)
        return await caller.write(starts.with_customer, business_id, fields.customer_id, now_ms=at_ms), None
    kind, address = await _address(caller, fields)
    names = {name: value for name, value in fields.given().items() if name in _NAMES and value}
    thread_id = await caller.write(
        starts.with_address,
        business_id,
        kind,
        address,
        names,
        actor=caller.actor(fields.employee_user_id),
        now_ms=at_ms,
    )
    return thread_id, "EMAIL" if kind == "email" else "SMS"


async def _address(caller: Caller, fields: StartConversation) -> tuple[str, str]:
    """Return the kind and the address, checked."""
    try:
        if fields.email_address is not None:
            address = fields.email_address.strip()
            identities.normal_email(address)
            return "email", address
        business = await caller.read(organizations.get_business, fields.business_id)
        return "phone", identities.normal_phone((fields.phone_number or "").strip(), business.default_region)
    except ValueError as error:
        name, code = (
            ("phoneNumber", "invalid_phone_number")
            if fields.email_address is None
            else ("emailAddress", "invalid_email")
        )
        raise Invalid([FieldError(name, code, str(error))]) from None
