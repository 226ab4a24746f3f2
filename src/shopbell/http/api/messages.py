"""``POST /api/send-message-to-customer-thread``: reply in a conversation, or add a note."""

from collections.abc import Mapping
from typing import Annotated

from fastapi import APIRouter, Response
from pydantic import Field
from sqlalchemy import Connection

from shopbell.conversations import idempotency, reply_checks
from shopbell.conversations.replies import Replied, Reply
from shopbell.conversations.side_effects import IdempotencyKey
from shopbell.errors import FieldError, NotFound, RequestError
from shopbell.formats.channels import ChannelName
from shopbell.http.request.caller import Caller, WritesSomeThreads
from shopbell.http.request.fields import ContentSid, Fields, Id, MessageText
from shopbell.http.request.json_body import Body, body_schema, json_body
from shopbell.inbox import reads
from shopbell.runtime.clock import now_ms

ROUTE = "/api/send-message-to-customer-thread"
MENTIONS_MAX = 50

router = APIRouter(tags=["threads"])


class SendMessage(Fields):
    """A message of the organization in a conversation."""

    customer_thread_id: Id = Field(description="The conversation.", examples=["9999"])
    text: MessageText | None = Field(
        None, description="The text, unless `contentSid` is given.", examples=["Hello, I am a bot."]
    )
    content_sid: ContentSid | None = Field(None, description="The id of a template, instead of `text`.")
    internal: bool | None = Field(None, description="`true`: a note that only employees see. Default: `false`.")
    last_seen_message_id: Id | None = Field(
        None,
        description="The last message that you have read. If another employee or token has replied since then, the "
        "response is 409 and nothing is sent.",
    )
    employee_user_id: Id | None = Field(None, description="The employee who sends it.")
    channel: ChannelName | None = Field(
        None,
        description="The channel to send it by. Default: the channel of the customer's last message. If that is the "
        "web and the customer does not read the message there, it is also sent by email or SMS.",
    )
    attachment_id: Id | None = Field(None, description="An uploaded file. `text` is then optional.")
    mentioned_user_ids: list[Id] | None = Field(
        None,
        max_length=MENTIONS_MAX,
        description=f"Employees that a note mentions, at most {MENTIONS_MAX}. They find the conversation in their "
        "view `mentions` until they read it. Only with `internal`.",
    )

    @classmethod
    def check_together(cls, sent: Mapping[str, object]) -> list[FieldError]:
        """Require either a text or a template, or only a file; mentions only in a note."""
        errors = []
        if "mentioned_user_ids" in sent and sent.get("internal") is not True:
            errors.append(FieldError("mentionedUserIds", "invalid_value", "is only allowed in a note (internal)"))
        said = {"text", "content_sid"} & {*sent}
        if len(said) == 1 or (not said and "attachment_id" in sent):
            return errors
        return [*errors, FieldError("", "exactly_one_required", "must contain exactly one of text and contentSid")]


class MessageSent(Fields):
    """The message is stored."""

    result: str = Field("ok", examples=["ok"])
    message_id: str = Field(examples=["12351"])


@router.post(ROUTE, summary="Reply in a conversation", openapi_extra=body_schema(SendMessage, idempotent=True))
async def send_message_to_customer_thread(
    caller: WritesSomeThreads, body: Annotated[Body[SendMessage], json_body(SendMessage)], response: Response
) -> MessageSent:
    """Send a message to the customer of a conversation, or add a note for employees.

    A visible message sets the status of the conversation to `replied`. A request with an `Idempotency-Key` can be
    repeated safely.
    """
    fields = body.fields
    actor = caller.actor(fields.employee_user_id)
    await caller.check_thread(fields.customer_thread_id)
    if fields.attachment_id is not None:
        await caller.check_attachment(fields.attachment_id)
    key = body_hash = None
    if body.idempotency_key is not None:
        key = (caller.organization_id, caller.id, ROUTE, body.idempotency_key)
        body_hash = body.hash()
    text = fields.text or ""
    named = (fields.content_sid, fields.employee_user_id, fields.attachment_id, fields.mentioned_user_ids)
    if any(named):
        text = await caller.read(_resolve, fields, key, body_hash or "")
    replied = await store(
        caller,
        Reply(
            organization_id=caller.organization_id,
            actor=actor,
            thread_id=fields.customer_thread_id,
            body=text,
            internal=bool(fields.internal),
            content_sid=fields.content_sid,
            attachment_id=fields.attachment_id,
            channel=fields.channel,
            last_seen_message_id=fields.last_seen_message_id,
            key=key,
            body_hash=body_hash,
        ),
    )
    if fields.mentioned_user_ids:
        # This is a second transaction, because notes are stored in batches. If the server dies between the two, the
        # client gets no response. When it repeats the request, its idempotency key leads here again.
        await caller.write(
            reads.mention,
            replied.message_id,
            fields.mentioned_user_ids,
            actor=actor,
            now_ms=now_ms(),
        )
    if replied.replayed:
        response.headers["Idempotent-Replayed"] = "true"
    return MessageSent(message_id=str(replied.message_id))


async def store(caller: Caller, reply: Reply) -> Replied:
    """Store a message of the organization durably.

    Raises:
        RequestError: 400, 404, 409, 422; this reply was refused.
        StorageError: 503.
    """
    outcome = await caller.services.replies.submit_and_wait(reply)
    if isinstance(outcome, RequestError):
        raise outcome
    return outcome


def _resolve(
    tx: Connection, organization_id: int, fields: SendMessage, key: IdempotencyKey | None, body_hash: str
) -> str:
    """Return the text to send.

    Raises:
        NotFound: 404; but not if the same request succeeded before, even if the template is gone since then.
        IdempotencyKeyReused: 422.
    """
    try:
        return reply_checks.resolve_text(
            tx,
            organization_id,
            text=fields.text,
            content_sid=fields.content_sid,
            employee_id=fields.employee_user_id,
            attachment_id=fields.attachment_id,
            mentioned_ids=fields.mentioned_user_ids or (),
        )
    except NotFound:
        if key is None or idempotency.find_result(tx, key, body_hash) is None:
            raise
    return ""  # nothing is sent: the earlier response is repeated
