"""``/api/scheduled-messages``: send later, or with a few seconds to undo it."""

from collections.abc import Mapping
from typing import Annotated

from fastapi import APIRouter, Path, Query, Response
from pydantic import Field

from shopbell.errors import FieldError
from shopbell.formats.channels import ChannelName
from shopbell.http.request.caller import Caller, ReadsSomeThreads, WritesSomeThreads
from shopbell.http.request.fields import ContentSid, Fields, Id, MessageText, PathId
from shopbell.http.request.json_body import Body, body_schema, json_body
from shopbell.http.request.paging import LIMIT_DEFAULT, Cursor, Limit, cursor_of, place_of
from shopbell.inbox import scheduled_messages
from shopbell.inbox.scheduled_messages import DELAY_MAX_MS, Changed, NewScheduledMessage, Reason, State, When
from shopbell.inbox.scheduled_sender import signal_of
from shopbell.runtime.clock import now_ms

ROUTE = "/api/scheduled-messages"
_TIME_MS_MAX = 2**53 - 1

router = APIRouter(tags=["inbox"])

SendAt = Annotated[int, Field(ge=0, le=_TIME_MS_MAX)]
DelayMs = Annotated[int, Field(ge=0, le=DELAY_MAX_MS)]


class _Timed(Fields):
    """A request that may set the time."""

    send_at: SendAt | None = Field(None, description="When to send it, in Unix ms, at most 366 days ahead.")
    delay_ms: DelayMs | None = Field(
        None,
        description="Instead of `sendAt`: the delay in milliseconds. Until then, the message can be cancelled.",
        examples=[5000],
    )

    @property
    def when(self) -> When | None:
        """The time, if one was sent."""
        return None if self.send_at is None and self.delay_ms is None else When(self.send_at, self.delay_ms)


class ScheduleMessage(_Timed):
    """A message to send later."""

    customer_thread_id: Id = Field(description="The conversation.", examples=["9999"])
    text: MessageText | None = Field(
        None, description="The text, unless `contentSid` is given.", examples=["Your order is ready."]
    )
    content_sid: ContentSid | None = Field(None, description="The id of a template, instead of `text`.")
    attachment_id: Id | None = Field(None, description="An uploaded file. `text` is then optional.")
    channel: ChannelName | None = Field(
        None, description="The channel to send it by, as in `POST /api/send-message-to-customer-thread`."
    )
    last_seen_message_id: Id | None = Field(
        None,
        description="The last message that you have read. If another employee or token has replied since then, the "
        "response is 409. If one replies before this message is sent, the message is refused instead of sent.",
    )
    resolve: bool = Field(False, description="Whether to resolve the conversation after the message is sent.")
    employee_user_id: Id | None = Field(None, description="The employee who sends it.")

    @classmethod
    def check_together(cls, sent: Mapping[str, object]) -> list[FieldError]:
        """Require either a text or a template, or only a file; and one time."""
        errors = []
        said = {"text", "content_sid"} & {*sent}
        if len(said) != 1 and (said or "attachment_id" not in sent):
            errors.append(FieldError("", "exactly_one_required", "must contain exactly one of text and contentSid"))
        if len({"send_at", "delay_ms"} & {*sent}) != 1:
            errors.append(FieldError("", "exactly_one_required", "must contain exactly one of sendAt and delayMs"))
        return errors


class UpdateScheduledMessage(_Timed):
    """Changes to a scheduled message. Absent fields keep their value."""

    text: MessageText | None = Field(
        None, description="The new text. It replaces a template.", examples=["Your order is ready for pickup."]
    )
    attachment_id: Id | None = Field(None, description="Another uploaded file.")
    channel: ChannelName | None = Field(None, description="Another channel to send it by.")
    last_seen_message_id: Id | None = Field(
        None, description="The last message that you have read. Send it to reply even though someone else has replied."
    )
    resolve: bool | None = Field(None, description="Whether to resolve the conversation after the message is sent.")
    employee_user_id: Id | None = Field(None, description="The employee who changes it, and who becomes its author.")

    @classmethod
    def check_together(cls, sent: Mapping[str, object]) -> list[FieldError]:
        """Allow one time only."""
        if {"send_at", "delay_ms"} <= {*sent}:
            return [FieldError("", "exactly_one_required", "must not contain both sendAt and delayMs")]
        return []


class MessageScheduled(Fields):
    """The message is stored and will be sent."""

    scheduled_message_id: str = Field(examples=["12360"])
    send_at: int = Field(description="When it will be sent, in Unix ms.", examples=[1700000005000])


class ScheduledMessageOut(Fields):
    """A message that is or was scheduled."""

    scheduled_message_id: str = Field(examples=["12360"])
    customer_thread_id: str = Field(examples=["9999"])
    employee_user_id: str | None = Field(description="The author; `null` for a program.", examples=["12351"])
    text: str = Field(examples=["Your order is ready."])
    content_sid: str | None = Field(examples=[None])
    attachment_id: str | None = Field(examples=[None])
    channel: ChannelName | None = Field(examples=[None])
    resolve: bool = Field(examples=[False])
    created_at: int = Field(description="Unix ms.", examples=[1700000000000])
    send_at: int = Field(description="Unix ms.", examples=[1700000005000])
    state: State = Field(
        description="`refused`: it was not sent because of `reason`. Change it to send it, or cancel it.",
        examples=["scheduled"],
    )
    reason: Reason | None = Field(
        description="`answered`: someone else has replied. `window-closed`: WhatsApp accepts only a template now. "
        "`customer-erased`: the customer was erased. `not-permitted`: the employee has left or may not write in this "
        "business, or the token was revoked. "
        "`elsewhere`: another installation may have sent it, after an import, a restore or a move. `error`: a bug; "
        "the log of the server has more.",
        examples=[None],
    )
    message_id: str | None = Field(description="The message that was sent.", examples=[None])


class ScheduledMessages(Fields):
    """A page of scheduled messages, the newest first."""

    scheduled_messages: list[ScheduledMessageOut]
    next_cursor: str | None = Field(description="The `cursor` of the next page; `null` on the last.", examples=[None])


ScheduledMessageOfPath = Annotated[
    PathId, Path(alias="scheduledMessageId", description="The scheduled message.", examples=["12360"])
]


@router.post(ROUTE, summary="Send a message later", openapi_extra=body_schema(ScheduleMessage, idempotent=True))
async def schedule_message(
    caller: WritesSomeThreads, body: Annotated[Body[ScheduleMessage], json_body(ScheduleMessage)], response: Response
) -> MessageScheduled:
    """Schedule a message for a later time, or with a few seconds to undo it.

    When it is due, it becomes a reply, exactly once. It is checked like a reply now, and again when it is due. If it
    cannot be sent then, its state becomes `refused`. The stream reports each change as the signal `scheduled`. A
    request with an `Idempotency-Key` can be repeated safely.
    """
    fields = body.fields
    await caller.check_thread(fields.customer_thread_id)
    if fields.attachment_id is not None:
        await caller.check_attachment(fields.attachment_id)
    key = None
    if body.idempotency_key is not None:
        key = (caller.organization_id, caller.id, ROUTE, body.idempotency_key)
    new = NewScheduledMessage(
        thread_id=fields.customer_thread_id,
        caller_id=caller.id,
        employee_id=caller.acting(fields.employee_user_id),
        text=fields.text,
        when=fields.when or When(),
        content_sid=fields.content_sid,
        attachment_id=fields.attachment_id,
        channel=fields.channel,
        last_seen_message_id=fields.last_seen_message_id,
        resolves=fields.resolve,
    )
    changed, is_replayed = await caller.write(scheduled_messages.schedule, new, key, body.hash(), now_ms=now_ms())
    if is_replayed:
        response.headers["Idempotent-Replayed"] = "true"
    else:
        caller.services.pubsub.signal(signal_of(changed))
    message = changed.message
    return MessageScheduled(scheduled_message_id=str(message.id), send_at=message.send_at_ms)


@router.get(ROUTE, summary="List scheduled messages")
async def list_scheduled_messages(
    caller: ReadsSomeThreads,
    customer_thread_id: Annotated[
        Id | None, Query(alias="customerThreadId", description="Only messages of this conversation.")
    ] = None,
    state: Annotated[State | None, Query(description="Only messages in this state.")] = None,
    cursor: Cursor = None,
    limit: Limit = LIMIT_DEFAULT,
) -> ScheduledMessages:
    """List scheduled messages, the newest first.

    Messages that were sent or cancelled are listed for a day.
    """
    place = place_of(cursor, int)
    before_id = None if place is None else int(place[0])
    found = await caller.read(
        scheduled_messages.find_page,
        caller.businesses,
        thread_id=customer_thread_id,
        state=state,
        before_id=before_id,
        limit=limit + 1,
    )
    page = found[:limit]
    return ScheduledMessages(
        scheduled_messages=[scheduled_message_out(message) for message in page],
        next_cursor=cursor_of(page[-1].id) if len(found) > limit else None,
    )


@router.post(f"{ROUTE}/{{scheduledMessageId}}/cancel", summary="Cancel a scheduled message")
async def cancel_scheduled_message(
    caller: WritesSomeThreads, scheduled_message_id: ScheduledMessageOfPath
) -> ScheduledMessageOut:
    """Cancel a message that was not sent yet, and return it. 409 if it was sent."""
    await _check(caller, scheduled_message_id)
    return _tell(caller, await caller.write(scheduled_messages.cancel, scheduled_message_id, now_ms=now_ms()))


@router.post(
    f"{ROUTE}/{{scheduledMessageId}}/update",
    openapi_extra=body_schema(UpdateScheduledMessage),
    summary="Change a scheduled message",
)
async def update_scheduled_message(
    caller: WritesSomeThreads,
    scheduled_message_id: ScheduledMessageOfPath,
    body: Annotated[Body[UpdateScheduledMessage], json_body(UpdateScheduledMessage)],
) -> ScheduledMessageOut:
    """Change a message that was not sent yet. A refused message is scheduled again.

    If its time has passed and no new time is given, it is sent at once. 409 if it was sent or cancelled, or for the
    same reasons as a reply.
    """
    fields = body.fields
    await _check(caller, scheduled_message_id)
    if fields.attachment_id is not None:
        await caller.check_attachment(fields.attachment_id)
    given = fields.given()
    names = {"text": "body", "resolve": "resolves"} | {
        name: name for name in ("attachment_id", "channel", "last_seen_message_id")
    }
    changed = await caller.write(
        scheduled_messages.change,
        scheduled_message_id,
        {column: given[name] for name, column in names.items() if name in given},
        fields.when,
        caller_id=caller.id,
        employee_id=caller.acting(fields.employee_user_id),
        now_ms=now_ms(),
    )
    return _tell(caller, changed)


def scheduled_message_out(message: scheduled_messages.ScheduledMessage) -> ScheduledMessageOut:
    """A scheduled message as the API shows it."""
    return ScheduledMessageOut(
        scheduled_message_id=str(message.id),
        customer_thread_id=str(message.thread_id),
        employee_user_id=None if message.employee_id is None else str(message.employee_id),
        text=message.body,
        content_sid=message.content_sid,
        attachment_id=None if message.attachment_id is None else str(message.attachment_id),
        channel=message.channel,
        resolve=message.resolves,
        created_at=message.created_at_ms,
        send_at=message.send_at_ms,
        state=message.state,
        reason=message.reason,
        message_id=None if message.message_id is None else str(message.message_id),
    )


async def _check(caller: Caller, scheduled_message_id: int) -> None:
    if caller.businesses is not None:
        await caller.read(scheduled_messages.check_within, scheduled_message_id, caller.businesses)


def _tell(caller: Caller, changed: Changed) -> ScheduledMessageOut:
    caller.services.pubsub.signal(signal_of(changed))
    return scheduled_message_out(changed.message)
