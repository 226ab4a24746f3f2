"""``POST /api/send-message-to-customer-thread``: answer in a conversation, or leave a note in it."""

import hashlib
from collections.abc import Mapping
from typing import Annotated, Literal

import orjson
from fastapi import APIRouter, Response
from pydantic import Field
from sqlalchemy import Connection

from shopbell import attachments, employees, idempotency, templates
from shopbell.errors import Fault, NotFound, Problem
from shopbell.http.api.access import Caller, WritesThreads
from shopbell.http.api.body import Body, described, takes
from shopbell.http.api.fields import ContentSid, Fields, Id, MessageText
from shopbell.promises import IdempotencyKey
from shopbell.replies import Replied, Reply

ROUTE = "/api/send-message-to-customer-thread"

router = APIRouter(tags=["threads"])


class SendMessage(Fields):
    """A message of the organization to a conversation."""

    customer_thread_id: Id = Field(description="The conversation.", examples=["9999"])
    text: MessageText | None = Field(None, description="What to say; or `contentSid`.", examples=["Hello, I am a bot."])
    content_sid: ContentSid | None = Field(None, description="A template's id, instead of `text`.")
    internal: bool | None = Field(None, description="`true`: only employees see it. `false` unless given.")
    last_seen_message_id: Id | None = Field(
        None,
        description="The message up to which the conversation was read. When somebody else has answered since (another "
        "employee, or another token): 409, and nothing is sent.",
    )
    employee_user_id: Id | None = Field(None, description="The employee in whose name it is sent.")
    channel: Literal["WEB", "EMAIL", "SMS", "WHATSAPP"] | None = Field(
        None,
        description="By which way the customer is to get it. Unless given: where he last wrote; where that is the web, "
        "by mail or text as well unless he reads it there.",
    )
    attachment_id: Id | None = Field(None, description="A file that was uploaded before; `text` may then be absent.")

    @classmethod
    def faults_together(cls, sent: Mapping[str, object]) -> list[Fault]:
        """Either text or template; a file may be alone."""
        said = {"text", "content_sid"} & {*sent}
        if len(said) == 1 or (not said and "attachment_id" in sent):
            return []
        return [Fault("body", "#", "exactly_one_required", "must contain exactly one of text and contentSid")]


class MessageSent(Fields):
    """The message is stored."""

    result: str = Field("ok", examples=["ok"])
    message_id: str = Field(examples=["12351"])


@router.post(ROUTE, summary="Answer in a conversation", openapi_extra=described(SendMessage, idempotent=True))
async def send_message_to_customer_thread(
    caller: WritesThreads, body: Annotated[Body[SendMessage], takes(SendMessage)], response: Response
) -> MessageSent:
    """Send a message to the customer of a conversation, or leave a note for colleagues.

    A visible message sets the conversation's status to `replied`. With an `Idempotency-Key` the request has one effect,
    however often it is sent.
    """
    fields = body.fields
    key = body_hash = None
    if body.idempotency_key is not None:
        key = (caller.organization_id, caller.token.id, ROUTE, body.idempotency_key)
        body_hash = hashlib.sha256(orjson.dumps(fields.model_dump(mode="json"))).hexdigest()
    text = fields.text or ""
    if (fields.content_sid, fields.employee_user_id, fields.attachment_id) != (None, None, None):
        text = await caller.read(_resolve, fields, key)
    replied = await store(
        caller,
        Reply(
            organization_id=caller.organization_id,
            token_id=caller.token.id,
            thread_id=fields.customer_thread_id,
            body=text,
            internal=bool(fields.internal),
            content_sid=fields.content_sid,
            employee_id=fields.employee_user_id,
            attachment_id=fields.attachment_id,
            channel=fields.channel,
            last_seen_message_id=fields.last_seen_message_id,
            key=key,
            body_hash=body_hash,
        ),
    )
    if replied.replayed:
        response.headers["Idempotent-Replayed"] = "true"
    return MessageSent(message_id=str(replied.message_id))


async def store(caller: Caller, reply: Reply) -> Replied:
    """Store a message of the organization durably, and wake whoever waits for it.

    Raises:
        Problem: what became of this reply alone: 400, 404, 409, 422.
        StorageError: 503.
    """
    outcome = await caller.api.replies.submit(reply)
    if isinstance(outcome, Problem):
        raise outcome
    return outcome


def _resolve(tx: Connection, organization_id: int, fields: SendMessage, key: IdempotencyKey | None) -> str:
    """The text that is sent.

    Raises:
        NotFound: 404; not for what was answered 200 before, whatever has become of template or employee since.
    """
    try:
        return _own_text(tx, organization_id, fields)
    except NotFound:
        if key is None or not idempotency.was_answered(tx, key):
            raise
    return ""  # nothing is sent: the answer from then is given again


def _own_text(tx: Connection, organization_id: int, fields: SendMessage) -> str:
    """The text that is sent, when all that the request names is the organization's own.

    Raises:
        NotFound: 404.
    """
    employee_id, attachment_id = fields.employee_user_id, fields.attachment_id
    if employee_id is not None and not employees.is_active(tx, organization_id, employee_id):
        raise NotFound("employeeUserId")
    if attachment_id is not None and not attachments.exists(tx, organization_id, attachment_id):
        raise NotFound("attachmentId")
    if fields.content_sid is None:
        return fields.text or ""
    return templates.get(tx, organization_id, fields.content_sid).text
