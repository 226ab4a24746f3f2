"""``GET /api/threads/{threadId}/messages``: what was said in a conversation."""

from dataclasses import dataclass
from typing import Annotated, Any, Literal, cast

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
from shopbell.outreach import deliveries
from shopbell.outreach.reasons import REASONS
from shopbell.threads import Message, Thread

router = APIRouter(tags=["threads"])

_SEQUENCE_MAX = 2**31 - 1

ThreadOfPath = Annotated[PathId, Path(alias="threadId", description="The conversation.", examples=["12347"])]


class Delivery(Fields):
    """One way that a message took."""

    channel: Literal["WEB", "EMAIL", "SMS", "WHATSAPP"] = Field(examples=["EMAIL"])
    audience: Literal["customer", "store"] = Field(description="Whom it is for.", examples=["customer"])
    state: Literal["queued", "sent", "delivered", "read", "failed"] = Field(examples=["sent"])
    reason: str | None = Field(
        description="Why it failed, as a short name that stays. "
        + ", ".join(f"`{name}`: {meaning}" for name, meaning in REASONS.items())
        + ". Other names are those of mail servers and of text providers.",
        examples=[None],
    )
    at: int = Field(description="Since when, in Unix milliseconds.", examples=[1700000000000])


class MailFacts(Fields):
    """What is known of a mail that came in. Its sender is a claim, which the receiving server's findings may prove."""

    sender: str | None = Field(examples=["carol@example.com"])
    sender_name: str | None = Field(examples=["Carol Jones"])
    subject: str | None = Field(examples=["Re: Your conversation with Acme Boston"])
    full_text: str | None = Field(
        description="All of it, where `text` is not: with what it quotes.", examples=["Thank you!\n\n> Hello Carol"]
    )
    spf: str | None = Field(description="As RFC 8601 names results.", examples=["pass"])
    dkim: str | None = Field(examples=["pass"])
    dmarc: str | None = Field(examples=["pass"])
    foreign_sender: bool = Field(
        description="Whether it came from another address than the conversation's own: then it is a note, and nobody's "
        "word.",
        examples=[False],
    )
    automatic: bool = Field(description="Whether a program wrote it.", examples=[False])


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
    channel: Literal["WEB", "EMAIL", "SMS", "WHATSAPP"] | None = Field(
        description="By which way it came, or was told to go; `null`: the customer's is the web, and an answer goes "
        "where he last wrote.",
        examples=["WEB"],
    )
    deliveries: list[Delivery] = Field(description="What became of it, one entry for each way that it took.")
    mail: MailFacts | None = Field(description="Of a message that came by mail; else `null`.", examples=[None])
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
    thread, found, about = await caller.read(_look_up, thread_id, after, limit + 1)
    base, links = base_url(request, caller.api.settings), caller.api.links
    page = found[:limit]
    return ThreadMessages(
        messages=[
            _shown(
                each, linked(file, base, links) if (file := about.files.get(each.attachment_id or 0)) else None, about
            )
            for each in page
        ],
        last_sequence=thread.last_sequence,
        next_cursor=cursor_of(page[-1].sequence) if len(found) > limit else None,
    )


@dataclass(frozen=True, slots=True)
class _About:
    """What belongs to messages: files by their ids, the rest by the messages'."""

    files: dict[int, Attachment]
    deliveries: dict[int, list[deliveries.Delivery]]
    mails: dict[int, Any]


def _look_up(
    tx: Connection, organization_id: int, thread_id: int, after_sequence: int, limit: int
) -> tuple[Thread, list[Message], _About]:
    thread = threads.find(tx, organization_id, thread_id, field="threadId").thread
    found = threads.history(tx, thread, after_sequence=after_sequence, limit=limit)
    carried = [message.attachment_id for message in found if message.attachment_id is not None]
    files = attachments.find(tx, organization_id, carried) if carried else {}
    ids = [message.id for message in found]
    about = _About(
        files, deliveries.of_messages(tx, organization_id, ids), deliveries.mails_of(tx, organization_id, ids)
    )
    return thread, found, about


def _shown(message: Message, file: LinkedAttachment | None, about: _About) -> ThreadMessage:
    mail = about.mails.get(message.id)
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
        channel=cast("Any", message.channel),
        deliveries=[
            Delivery(
                channel=cast("Any", each.channel),
                audience=cast("Any", each.audience),
                state=cast("Any", each.state),
                reason=each.reason,
                at=each.updated_at_ms,
            )
            for each in about.deliveries.get(message.id, [])
        ],
        mail=MailFacts(**{name: getattr(mail, name) for name in MailFacts.model_fields}) if mail else None,
        created_at=message.created_at_ms,
    )
