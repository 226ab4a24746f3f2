"""``GET POST /api/customer/messages``: a conversation as its customer reads and goes on with it."""

from collections.abc import Mapping
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Request
from pydantic import AfterValidator, Field, StringConstraints
from sqlalchemy import Connection

from shopbell import attachments, conversation, customer_sessions, organizations
from shopbell.conversation import Line, State
from shopbell.customer_sessions import CustomerSession
from shopbell.errors import BusinessNotInOrganization, Fault, Invalid, NotFound
from shopbell.http.addresses import base_url
from shopbell.http.api.body import Body, described, takes
from shopbell.http.api.fields import Fields, Id, MessageText, wrong
from shopbell.http.customer.access import CustomersBrowser, Visitor
from shopbell.http.customer.attachments import attachment_of
from shopbell.http.customer.limits import address_of
from shopbell.http.customer.sessions import TAG
from shopbell.http.customer.shown import ShownMessage, shown_line
from shopbell.http.customer.stream import NoConversation, find_thread
from shopbell.incoming import Incoming, Received, receive

LIMIT_MAX = 200
LIMIT_DEFAULT = 50
_SEQUENCE_MAX = 2**31 - 1

router = APIRouter(tags=[TAG])


def _uuid(text: str) -> str:
    try:
        return str(UUID(text))
    except ValueError:
        raise wrong("invalid_format", "must be a UUID") from None


ClientMessageId = Annotated[str, StringConstraints(max_length=36), AfterValidator(_uuid)]


class SayMessage(Fields):
    """A message of the customer."""

    text: MessageText | None = Field(
        None, description="What he writes; needed unless there is a file.", examples=["Is it in stock?"]
    )
    attachment_id: Annotated[str, StringConstraints(max_length=80)] | None = Field(
        None, description="A file that this customer uploaded before."
    )
    client_message_id: ClientMessageId = Field(
        description="The browser's own name of the message: sent once more it has no other effect.",
        examples=["5f0c3b0e-9a2e-4f5e-8d0a-6a4f2f1f7c11"],
    )
    customer_thread_id: Id | None = Field(None, description="For apps: the conversation that it goes on with.")
    business_id: Id | None = Field(None, description="For apps: the business that it is for, if there is none yet.")

    @classmethod
    def faults_together(cls, sent: Mapping[str, object]) -> list[Fault]:
        """A text, unless there is a file."""
        return [] if {"text", "attachment_id"} & {*sent} else [Fault("body", "#/text", "required", "is required")]


class Said(Fields):
    """The message is stored."""

    result: str = Field("ok", examples=["ok"])
    message_id: str = Field(examples=["12351"])
    sequence: int = Field(description="Its place in the conversation.", examples=[3])
    customer_thread_id: str = Field(examples=["12347"])


class MessagesShown(Fields):
    """A piece of a conversation, in its order."""

    messages: list[ShownMessage]
    has_more: bool = Field(description="Whether there are later ones.", examples=[False])


@router.post("/api/customer/messages", summary="Write to the store", openapi_extra=described(SayMessage))
async def say_message(
    visitor: CustomersBrowser, body: Annotated[Body[SayMessage], takes(SayMessage)], request: Request
) -> Said:
    """Store a message of the customer. The conversation waits for an answer from then on."""
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
    return Said(
        message_id=str(received.message_id),
        sequence=received.sequence,
        customer_thread_id=str(received.thread_id),
    )


@router.get("/api/customer/messages", summary="Read the conversation")
async def read_messages(
    visitor: CustomersBrowser,
    request: Request,
    after: Annotated[
        int, Query(alias="afterSequence", ge=0, le=_SEQUENCE_MAX, description="Only messages after this one.")
    ] = 0,
    limit: Annotated[int, Query(ge=1, le=LIMIT_MAX, description="How many at most.")] = LIMIT_DEFAULT,
    wanted: Annotated[
        str, Query(alias="customerThreadId", max_length=16, description="For apps: which conversation.")
    ] = "",
) -> MessagesShown:
    """Read what the customer sees of his conversation, from a place on. Notes of employees are not among it."""
    state, lines = await visitor.read(_look, wanted, after, limit + 1)
    if state is None:
        return MessagesShown(messages=[], has_more=False)
    base, links = base_url(request, visitor.api.settings), visitor.api.links
    shown = [shown_line(line, state, base, links) for line in lines[:limit]]
    return MessagesShown(messages=shown, has_more=len(lines) > limit)


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
        visitor: who writes.
        request: with which he does.
        text: what he says; may be empty beside a file.
        client_message_id: a UUID: what comes again under it changes nothing.
        attachment_id: his own file.
        thread_id: the conversation, where he names one.
        business_id: the business, where an app begins a conversation.

    Raises:
        BusinessNotInOrganization: 403.
        NotFound: 404; he has no such conversation.
        TooFast: 429.
        StorageError: 503.
    """
    limits, session = visitor.api.limits, visitor.session
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
    received = receive(
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
    customer_sessions.settle_in(tx, session, received.thread_id)
    if received.sequence:
        return received
    # One who is blocked is not told so.
    state = conversation.state(tx, organization_id, received.thread_id)
    return Received(received.thread_id, received.message_id, (state.last_sequence if state else 0) + 1)


def _place_of(
    tx: Connection, session: CustomerSession, thread_id: int | None, business_id: int | None
) -> tuple[int | None, int | None]:
    """The conversation that a message goes to, or the business with which it begins one."""
    ids = customer_sessions.threads_of(tx, session)
    if thread_id is not None:
        if thread_id not in ids:
            raise NotFound("customerThreadId", "session")
        return thread_id, None
    if session.kind == "app":
        if business_id is not None:
            return None, business_id
        if len(ids) != 1:
            raise Invalid([Fault("body", "#/customerThreadId", "required", "is required")])
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
    found = conversation.lines(tx, session.organization_id, state.thread_id, after_sequence=after, limit=limit)
    return state, found
