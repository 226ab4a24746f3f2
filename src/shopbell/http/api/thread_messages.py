"""``GET /api/threads/{threadId}/messages``: what was said in a conversation."""

from typing import Annotated

from fastapi import APIRouter, Path, Query
from pydantic import Field
from sqlalchemy import Connection

from shopbell import threads
from shopbell.http.api.access import ReadsThreads
from shopbell.http.api.fields import Fields, PathId
from shopbell.http.api.paging import LIMIT_DEFAULT, Cursor, Limit, cursor_of, place_of
from shopbell.threads import Attached, Message

router = APIRouter(tags=["threads"])

_SEQUENCE_MAX = 2**31 - 1

ThreadOfPath = Annotated[PathId, Path(alias="threadId", description="The conversation.", examples=["12347"])]


class MessageAttachment(Fields):
    """A file that a message carries."""

    attachment_id: str = Field(examples=["12360"])
    uuid: str = Field(examples=["6e27ba85-93e2-4f43-8ab4-f6100cafd6f2"])
    name: str = Field(examples=["invoice.pdf"])
    content_type: str = Field(examples=["application/pdf"])
    length_bytes: int = Field(examples=[48213])


class ThreadMessage(Fields):
    """A message of a conversation."""

    id: str = Field(examples=["12348"])
    sequence: int = Field(description="Its place in the conversation, from 1 on, without gaps.", examples=[1])
    text: str = Field(examples=["Hello, I need help with my order."])
    from_customer: bool = Field(description="`false` for one of the organization's own.", examples=[True])
    internal: bool = Field(description="Whether only employees see it.", examples=[False])
    employee_user_id: str | None = Field(
        description="The employee who wrote it; `null` for the customer and for programs.", examples=[None]
    )
    content_sid: str | None = Field(description="The template that it was made from, or `null`.", examples=[None])
    external_id: str | None = Field(description="What the channel's provider calls it, or `null`.", examples=[None])
    attachment: MessageAttachment | None = Field(description="The file that it carries, or `null`.", examples=[None])
    created_at: int = Field(description="When it was stored, in Unix milliseconds.", examples=[1700000000000])


class ThreadMessages(Fields):
    """A page of a conversation's messages, in their order."""

    messages: list[ThreadMessage]
    last_sequence: int = Field(description="The sequence of the conversation's last message.", examples=[1])
    next_cursor: str | None = Field(description="The `cursor` of the next page; `null` on the last.", examples=[None])


@router.get("/api/threads/{threadId}/messages", summary="List the messages of a conversation")
async def list_messages(
    caller: ReadsThreads,
    thread_id: ThreadOfPath,
    after_sequence: Annotated[
        int,
        Query(alias="afterSequence", ge=0, le=_SEQUENCE_MAX, description="Only messages after this one."),
    ] = 0,
    cursor: Cursor = None,
    limit: Limit = LIMIT_DEFAULT,
) -> ThreadMessages:
    """List what was said in a conversation, in its order, notes for colleagues among it.

    Who remembers the last `sequence` that he has read gets with `afterSequence` what is new since then. `cursor` stands
    for the `afterSequence` of the next page, and counts where both are given.
    """
    place = place_of(cursor, int)
    after = after_sequence if place is None else min(int(place[0]), _SEQUENCE_MAX)
    return await caller.read(_page, thread_id, after, limit)


def _page(tx: Connection, organization_id: int, thread_id: int, after_sequence: int, limit: int) -> ThreadMessages:
    thread = threads.find(tx, organization_id, thread_id).thread
    found = threads.history(tx, thread, after_sequence=after_sequence, limit=limit + 1)
    page, more = found[:limit], len(found) > limit
    files = threads.attached_to(tx, organization_id, page)
    return ThreadMessages(
        messages=[_shown(message, files.get(message.attachment_id or 0)) for message in page],
        last_sequence=thread.last_sequence,
        next_cursor=cursor_of(page[-1].sequence) if more else None,
    )


def _shown(message: Message, file: Attached | None) -> ThreadMessage:
    return ThreadMessage(
        id=str(message.id),
        sequence=message.sequence,
        text=message.body,
        from_customer=message.from_customer,
        internal=message.internal,
        employee_user_id=None if message.employee_id is None else str(message.employee_id),
        content_sid=message.content_sid,
        external_id=message.external_id,
        attachment=None if file is None else _attachment(file),
        created_at=message.created_at_ms,
    )


def _attachment(file: Attached) -> MessageAttachment:
    return MessageAttachment(
        attachment_id=str(file.id),
        uuid=file.uuid,
        name=file.name,
        content_type=file.content_type,
        length_bytes=file.length_bytes,
    )
