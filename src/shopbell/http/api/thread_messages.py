"""``GET /api/threads/{threadId}/messages``: the messages of a conversation."""

from dataclasses import dataclass
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Query, Request, Response
from pydantic import Field
from sqlalchemy import Connection

from shopbell.attachments import attachments
from shopbell.attachments.attachments import Attachment
from shopbell.attachments.signed_urls import AttachmentLinks
from shopbell.conversations import threads
from shopbell.conversations.threads import Message, Thread
from shopbell.formats.channels import ChannelName
from shopbell.http.api.attachments import LinkedAttachment, linked
from shopbell.http.request.base_url import base_url
from shopbell.http.request.caller import ReadsSomeThreads
from shopbell.http.request.fields import Fields, PathId
from shopbell.http.request.paging import LIMIT_DEFAULT, Cursor, Limit, cursor_of, place_of
from shopbell.http.request.results import json_response
from shopbell.notifications import delivery_status
from shopbell.notifications.reasons import REASONS

router = APIRouter(tags=["threads"])

SEQUENCE_MAX = 2**31 - 1
"""The greatest sequence that a request may name."""

_AFTER, _BEFORE = "after", "before"
"""The directions of pages, as cursors contain them."""

ThreadOfPath = Annotated[PathId, Path(alias="threadId", description="The conversation.", examples=["12347"])]


class Delivery(Fields):
    """One delivery of a message."""

    channel: ChannelName = Field(examples=["EMAIL"])
    audience: Literal["customer", "store"] = Field(description="The recipient.", examples=["customer"])
    state: Literal["queued", "sent", "delivered", "read", "failed"] = Field(examples=["sent"])
    reason: str | None = Field(
        description="Why it failed, as a stable name. "
        + ", ".join(f"`{name}`: {meaning}" for name, meaning in REASONS.items())
        + ". Other names come from mail servers and SMS providers.",
        examples=[None],
    )
    at: int = Field(description="When it reached this state, in Unix milliseconds.", examples=[1700000000000])


class MailFacts(Fields):
    """The metadata of an incoming email. The sender is a claim; `spf`, `dkim` and `dmarc` may prove it."""

    sender: str | None = Field(examples=["carol@example.com"])
    sender_name: str | None = Field(examples=["Carol Jones"])
    subject: str | None = Field(examples=["Re: Your conversation with Acme Boston"])
    full_text: str | None = Field(
        description="The whole text with quotes, if it differs from `text`.", examples=["Thank you!\n\n> Hello Carol"]
    )
    spf: str | None = Field(description="A result of RFC 8601.", examples=["pass"])
    dkim: str | None = Field(examples=["pass"])
    dmarc: str | None = Field(examples=["pass"])
    foreign_sender: bool = Field(
        description="Whether the sender is not an address of this customer. The message is then an internal note.",
        examples=[False],
    )
    automatic: bool = Field(description="Whether it was sent automatically.", examples=[False])


class ThreadMessage(Fields):
    """A message of a conversation."""

    id: str = Field(examples=["12348"])
    sequence: int = Field(description="Its position in the conversation: 1, 2, 3, … without gaps.", examples=[1])
    text: str = Field(examples=["Hello, I need help with my order."])
    from_customer: bool = Field(description="`false` if the organization sent it.", examples=[True])
    internal: bool = Field(description="Whether only employees see it.", examples=[False])
    employee_user_id: str | None = Field(
        description="The employee who wrote it; `null` if a customer or a program did.", examples=[None]
    )
    content_sid: str | None = Field(description="Its template, or `null`.", examples=[None])
    external_id: str | None = Field(description="Its id at the provider of the channel, or `null`.", examples=[None])
    attachment: LinkedAttachment | None = Field(description="Its file with a new link, or `null`.", examples=[None])
    channel: ChannelName | None = Field(
        description="The channel that it came by, or was to be sent by. `null` means the web for a message of the "
        "customer, and the channel of their last message for a reply.",
        examples=["WEB"],
    )
    deliveries: list[Delivery] = Field(description="The deliveries of the message, one per channel and recipient.")
    mail: MailFacts | None = Field(description="The metadata of an incoming email; otherwise `null`.", examples=[None])
    created_at: int = Field(description="When it was stored, in Unix milliseconds.", examples=[1700000000000])


class ThreadMessages(Fields):
    """A page of a conversation's messages, in their order."""

    messages: list[ThreadMessage]
    last_sequence: int = Field(description="The sequence of the conversation's last message.", examples=[1])
    next_cursor: str | None = Field(description="The `cursor` of the next page; `null` on the last.", examples=[None])


@router.get(
    "/api/threads/{threadId}/messages", summary="List the messages of a conversation", response_model=ThreadMessages
)
async def list_messages(
    caller: ReadsSomeThreads,
    thread_id: ThreadOfPath,
    after_sequence: Annotated[
        int,
        Query(alias="afterSequence", ge=0, le=SEQUENCE_MAX, description="Only messages after this one."),
    ] = 0,
    before_sequence: Annotated[
        int | None,
        Query(
            alias="beforeSequence",
            ge=1,
            le=SEQUENCE_MAX,
            description="Only the last messages before this one. `nextCursor` leads to earlier ones.",
        ),
    ] = None,
    cursor: Cursor = None,
    limit: Limit = LIMIT_DEFAULT,
    *,
    request: Request,
) -> Response:
    """List the messages of a conversation in order, including notes for employees.

    Send the last `sequence` that you know as `afterSequence` to read only newer messages, or the first one as
    `beforeSequence` to read older ones. `cursor` replaces both if it is given.
    """
    place = place_of(cursor, str, int)
    if place is not None:
        sequence = min(int(place[1]), SEQUENCE_MAX)
        after_sequence, before_sequence = (0, sequence) if place[0] == _BEFORE else (sequence, None)
    await caller.check_thread(thread_id, "threadId")
    thread, found = await caller.read(_look_up, thread_id, after_sequence, before_sequence, limit + 1)
    has_more = len(found.messages) > limit
    services, base = caller.services, base_url(request, caller.services.settings)
    if before_sequence is None:
        messages = found.messages[:limit]
        next_cursor = cursor_of(_AFTER, messages[-1].sequence) if has_more else None
    else:
        messages = found.messages[-limit:]
        next_cursor = cursor_of(_BEFORE, messages[0].sequence) if has_more else None
    return json_response(
        {
            "messages": [message_out(each, found, base, services.links) for each in messages],
            "lastSequence": thread.last_sequence,
            "nextCursor": next_cursor,
        }
    )


@dataclass(frozen=True, slots=True)
class Found:
    """Messages of a conversation, with what belongs to them.

    Files are by attachment id, deliveries and emails by message id.
    """

    messages: list[Message]
    files: dict[int, Attachment]
    deliveries: dict[int, list[delivery_status.Delivery]]
    emails: dict[int, Any]


def _look_up(
    tx: Connection,
    organization_id: int,
    thread_id: int,
    after_sequence: int,
    before_sequence: int | None,
    limit: int,
) -> tuple[Thread, Found]:
    thread = threads.find(tx, organization_id, thread_id, field="threadId").thread
    if before_sequence is None:
        messages = threads.history(tx, thread, after_sequence=after_sequence, limit=limit)
    else:
        messages = threads.history_before(tx, thread, before_sequence, after_sequence=after_sequence, limit=limit)
    return thread, with_details(tx, organization_id, messages)


def with_details(tx: Connection, organization_id: int, messages: list[Message]) -> Found:
    """Read the files, deliveries and emails of messages of an organization."""
    carried = [message.attachment_id for message in messages if message.attachment_id is not None]
    ids = [message.id for message in messages]
    return Found(
        messages,
        attachments.find(tx, organization_id, carried) if carried else {},
        delivery_status.of_messages(tx, organization_id, ids),
        delivery_status.emails_of(tx, organization_id, ids),
    )


def message_out(message: Message, found: Found, base: str, links: AttachmentLinks) -> dict[str, Any]:
    """Return a message as clients see it: a ``ThreadMessage``.

    It is built without the model, which would take most of the time of a request.

    Args:
        found: what was found with it.
        base: the base URL of this server.
        links: signs the link of its file.
    """
    file, email = found.files.get(message.attachment_id or 0), found.emails.get(message.id)
    return {
        "id": str(message.id),
        "sequence": message.sequence,
        "text": message.body,
        "fromCustomer": message.from_customer,
        "internal": message.internal,
        "employeeUserId": None if message.employee_id is None else str(message.employee_id),
        "contentSid": message.content_sid,
        "externalId": message.external_id,
        "attachment": linked(file, base, links).model_dump() if file else None,
        "channel": message.channel,
        "deliveries": [
            {
                "channel": each.channel,
                "audience": each.audience,
                "state": each.state,
                "reason": each.reason,
                "at": each.updated_at_ms,
            }
            for each in found.deliveries.get(message.id, ())
        ],
        "mail": MailFacts(**{name: getattr(email, name) for name in MailFacts.model_fields}).model_dump()
        if email
        else None,
        "createdAt": message.created_at_ms,
    }
