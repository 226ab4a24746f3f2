"""``GET POST /api/customer/messages``: a conversation as its customer reads and goes on with it."""

from collections.abc import Mapping
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Request
from pydantic import AfterValidator, Field, StringConstraints
from sqlalchemy import Connection

from shopbell.attachments import attachments
from shopbell.conversations import customer_view
from shopbell.conversations.customer_view import Line, State
from shopbell.conversations.receive import Incoming, Received, create_inbound_message
from shopbell.customers import sessions
from shopbell.customers.sessions import CustomerSession
from shopbell.errors import FieldError, Invalid, NotFound
from shopbell.http.customer.attachments import attachment_of
from shopbell.http.customer.current_thread import NoConversation, find_thread
from shopbell.http.customer.message_out import MessageOut, message_out
from shopbell.http.customer.sessions import TAG
from shopbell.http.request.base_url import base_url
from shopbell.http.request.errors import BusinessNotInOrganization
from shopbell.http.request.fields import Fields, Id, MessageText, field_error
from shopbell.http.request.json_body import Body, body_schema, json_body
from shopbell.http.request.visitor import CurrentVisitor, Visitor
from shopbell.http.request.visitor_limits import address_of
from shopbell.organizations import organizations

LIMIT_MAX = 200
LIMIT_DEFAULT = 50
_SEQUENCE_MAX = 2**31 - 1

router = APIRouter(tags=[TAG])


def _uuid(text: str) -> str:
    try:
        return str(UUID(text))
    except ValueError:
        raise field_error("invalid_format", "must be a UUID") from None


ClientMessageId = Annotated[str, StringConstraints(max_length=36), AfterValidator(_uuid)]


class CustomerMessageIn(Fields):
    """A message of the customer."""

    text: MessageText | None = Field(
        None, description="The text. Required unless there is a file.", examples=["Is it in stock?"]
    )
    attachment_id: Annotated[str, StringConstraints(max_length=80)] | None = Field(
        None, description="The `attachmentId` of an upload."
    )
    client_message_id: ClientMessageId = Field(
        description="A UUID of the browser. A repeated request with the same one has no further effect.",
        examples=["5f0c3b0e-9a2e-4f5e-8d0a-6a4f2f1f7c11"],
    )
    customer_thread_id: Id | None = Field(None, description="For apps: the conversation.")
    business_id: Id | None = Field(None, description="For apps: the business of a new conversation.")

    @classmethod
    def check_together(cls, sent: Mapping[str, object]) -> list[FieldError]:
        """Require a text or a file."""
        return [] if {"text", "attachment_id"} & {*sent} else [FieldError("text", "required", "is required")]


class MessageStored(Fields):
    """The message is stored."""

    result: str = Field("ok", examples=["ok"])
    message_id: str = Field(examples=["12351"])
    sequence: int = Field(description="Its position in the conversation.", examples=[3])
    customer_thread_id: str = Field(examples=["12347"])


class MessagesOut(Fields):
    """A page of messages, in order."""

    messages: list[MessageOut]
    has_more: bool = Field(description="Whether there are later messages.", examples=[False])


@router.post("/api/customer/messages", summary="Send a message", openapi_extra=body_schema(CustomerMessageIn))
async def say_message(
    visitor: CurrentVisitor, body: Annotated[Body[CustomerMessageIn], json_body(CustomerMessageIn)], request: Request
) -> MessageStored:
    """Send a message of the customer. The conversation then waits for a reply."""
    fields = body.fields
    received = await say(
        visitor,
        request,
        fields.text or "",
        fields.client_message_id,
        attachment_id=None if fields.attachment_id is None else attachment_of(visitor, fields.attachment_id),
        thread_id=fields.customer_thread_id,
        business_id=fields.business_id,
    )
    return MessageStored(
        message_id=str(received.message_id),
        sequence=received.sequence,
        customer_thread_id=str(received.thread_id),
    )


@router.get("/api/customer/messages", summary="Read the conversation")
async def read_messages(
    visitor: CurrentVisitor,
    request: Request,
    after: Annotated[
        int, Query(alias="afterSequence", ge=0, le=_SEQUENCE_MAX, description="Only messages after this one.")
    ] = 0,
    limit: Annotated[int, Query(ge=1, le=LIMIT_MAX, description="The most messages.")] = LIMIT_DEFAULT,
    wanted: Annotated[
        str, Query(alias="customerThreadId", max_length=16, description="For apps: the conversation.")
    ] = "",
) -> MessagesOut:
    """Read the messages of the conversation that the customer can see. Notes of employees are not included."""
    state, lines = await visitor.read(_look, wanted, after, limit + 1)
    if state is None:
        return MessagesOut(messages=[], has_more=False)
    base, links = base_url(request, visitor.services.settings), visitor.services.links
    shown = [message_out(line, state, base, links) for line in lines[:limit]]
    return MessagesOut(messages=shown, has_more=len(lines) > limit)


async def say(
    visitor: Visitor,
    request: Request,
    text: str,
    client_message_id: str,
    *,
    attachment_id: int | None = None,
    thread_id: int | None = None,
    business_id: int | None = None,
) -> Received:
    """Store a message of a customer.

    Args:
        visitor: the customer.
        request: has the network address.
        text: the text; may be empty if there is a file.
        client_message_id: a UUID. A message with the same one is stored once.
        attachment_id: a file of this customer.
        thread_id: the conversation, if the request names one.
        business_id: the business, if an app starts a conversation.

    Raises:
        BusinessNotInOrganization: 403.
        NotFound: 404; the customer has no such conversation.
        QuotaExceeded: 429.
        StorageError: 503.
    """
    limits, session = visitor.services.limits, visitor.session
    limits.messages_of_address.take(address_of(request))
    limits.messages.take(session.id)
    limits.messages_of_organization.take(session.organization_id)
    return await visitor.write(_say, text, client_message_id, attachment_id, thread_id, business_id)


def _say(
    tx: Connection,
    session: CustomerSession,
    text: str,
    client_message_id: str,
    attachment_id: int | None,
    thread_id: int | None,
    business_id: int | None,
) -> Received:
    organization_id = session.organization_id
    place, business = _place_of(tx, session, thread_id, business_id)
    if place is None and not _is_open(tx, organization_id, business):
        raise BusinessNotInOrganization
    if attachment_id is not None and not attachments.exists(tx, organization_id, attachment_id):
        raise NotFound("attachmentId", "session")
    received = create_inbound_message(
        tx,
        Incoming(
            organization_id=organization_id,
            customer_id=session.customer_id,
            business_id=business or 0,
            channel="WEB",
            body=text,
            external_id=client_message_id,
            attachment_id=attachment_id,
            thread_id=place,
            email=session.email,
            phone=session.phone,
        ),
    )
    sessions.settle_in(tx, session, received.thread_id)
    if received.sequence:
        return received
    # A blocked customer is not told so.
    state = customer_view.state(tx, organization_id, received.thread_id)
    return Received(received.thread_id, received.message_id, (state.last_sequence if state else 0) + 1)


def _place_of(
    tx: Connection, session: CustomerSession, thread_id: int | None, business_id: int | None
) -> tuple[int | None, int | None]:
    """Return the conversation of a message, or the business of a new conversation."""
    ids = sessions.threads_of(tx, session)
    if thread_id is not None:
        if thread_id not in ids:
            raise NotFound("customerThreadId", "session")
        return thread_id, None
    if session.kind == "app":
        if business_id is not None:
            return None, business_id
        if len(ids) != 1:
            raise Invalid([FieldError("customerThreadId", "required", "is required")])
        return ids[0], None
    if ids:
        return ids[-1], None
    if session.kind == "page":
        raise NoConversation
    return None, session.business_id


def _is_open(tx: Connection, organization_id: int, business_id: int | None) -> bool:
    business = None if business_id is None else organizations.find_business(tx, organization_id, business_id)
    return business is not None and business.active


def _look(
    tx: Connection, session: CustomerSession, wanted: str, after: int, limit: int
) -> tuple[State | None, list[Line]]:
    state = find_thread(tx, session, wanted)
    if state is None:
        if wanted:
            raise NotFound("customerThreadId", "session")
        return None, []
    found = customer_view.lines(tx, session.organization_id, state.thread_id, after_sequence=after, limit=limit)
    return state, found
