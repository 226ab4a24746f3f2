"""``GET /api/threads/{threadId}/messages``: what was said in a conversation."""

from typing import Annotated

from fastapi import APIRouter, Path, Query, Request
from pydantic import Field
from sqlalchemy import Connection

from shopbell import attachments, threads
from shopbell.attachments import Attachment
from shopbell.http.addresses import base_url
from shopbell.http.api.access import ReadsThreads
from shopbell.http.api.attachments import LinkedAttachment, linked
from shopbell.http.api.fields import Fields, PathId
from shopbell.http.api.paging import LIMIT_DEFAULT, Cursor, Limit, cursor_of, place_of
from shopbell.threads import Message, Thread

router = APIRouter(tags=["threads"])

_SEQUENCE_MAX = 2**31 - 1

ThreadOfPath = Annotated[PathId, Path(alias="threadId", description="The conversation.", examples=["12347"])]


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
    attachment: LinkedAttachment | None = Field(
        description="The file that it carries, with a fresh link to it, or `null`.", examples=[None]
    )
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
    *,
    request: Request,
) -> ThreadMessages:
    """List what was said in a conversation, in its order, notes for colleagues among it.

    Who remembers the last `sequence` that he has read gets with `afterSequence` what is new since then. `cursor` stands
    for the `afterSequence` of the next page, and counts where both are given.
    """
    place = place_of(cursor, int)
    after = after_sequence if place is None else min(int(place[0]), _SEQUENCE_MAX)
    thread, found, files = await caller.read(_look_up, thread_id, after, limit + 1)
    base, links = base_url(request, caller.api.settings), caller.api.links
    page = found[:limit]
    return ThreadMessages(
        messages=[
            _shown(each, linked(file, base, links) if (file := files.get(each.attachment_id or 0)) else None)
            for each in page
        ],
        last_sequence=thread.last_sequence,
        next_cursor=cursor_of(page[-1].sequence) if len(found) > limit else None,
    )


def _look_up(
    tx: Connection, organization_id: int, thread_id: int, after_sequence: int, limit: int
) -> tuple[Thread, list[Message], dict[int, Attachment]]:
    thread = threads.find(tx, organization_id, thread_id).thread
    found = threads.history(tx, thread, after_sequence=after_sequence, limit=limit)
    carried = [message.attachment_id for message in found if message.attachment_id is not None]
    files = attachments.find(tx, organization_id, carried) if carried else {}
    return thread, found, files


def _shown(message: Message, file: LinkedAttachment | None) -> ThreadMessage:
    return ThreadMessage(
        id=str(message.id),
        sequence=message.sequence,
        text=message.body,
        from_customer=message.from_customer,
        internal=message.internal,
        employee_user_id=None if message.employee_id is None else str(message.employee_id),
        content_sid=message.content_sid,
        external_id=message.external_id,
        attachment=file,
        created_at=message.created_at_ms,
    )
