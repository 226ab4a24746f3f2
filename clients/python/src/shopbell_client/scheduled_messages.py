"""Send messages later."""

from dataclasses import dataclass, field

from shopbell_client.call import Call, Id, Pages, new_key, pages, path_segment, post, reader, without_none
from shopbell_client.shape import json_field
from shopbell_client.threads import Channel


@dataclass(frozen=True, slots=True, kw_only=True)
class ScheduledMessage:
    """A message that is or was scheduled. Times are Unix milliseconds.

    Args:
        employee_user_id: the author; None for a program.
        content_sid: the template that it is created from.
        resolve: whether to resolve the conversation after the message is sent.
        state: ``scheduled``, ``sent``, ``cancelled``, or ``refused``: it was not sent because of ``reason``.
        reason: ``answered``, ``window-closed``, ``customer-erased``, ``not-permitted``, ``elsewhere`` or ``error``.
        message_id: the message that it became.
    """

    id: str = json_field("scheduledMessageId")
    thread_id: str = json_field("customerThreadId")
    employee_user_id: str | None
    text: str = field(repr=False)
    content_sid: str | None
    attachment_id: str | None
    channel: str | None
    resolve: bool
    created_at_ms: int = json_field("createdAt")
    send_at_ms: int = json_field("sendAt")
    state: str
    reason: str | None
    message_id: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Scheduled:
    """A message that will be sent. The time is in Unix milliseconds."""

    id: str = json_field("scheduledMessageId")
    send_at_ms: int = json_field("sendAt")


def schedule_message(
    thread_id: Id,
    text: str | None = None,
    *,
    send_at_ms: int | None = None,
    delay_ms: int | None = None,
    content_sid: str | None = None,
    attachment_id: Id | None = None,
    channel: Channel | None = None,
    last_seen_message_id: Id | None = None,
    resolve: bool = False,
    employee_user_id: Id | None = None,
    idempotency_key: str | None = None,
) -> Call[Scheduled]:
    """Send a message later.

    It is checked as in ``send_message`` now, and again when it is sent. If it cannot be sent then, its state becomes
    ``refused``.

    Args:
        text: the message. Pass either ``text`` or ``content_sid``.
        send_at_ms: when to send it, in Unix milliseconds, at most 366 days ahead.
        delay_ms: instead of ``send_at_ms``: send it after 0 to 30,000 milliseconds.
        content_sid: the ``content_sid`` of a template.
        attachment_id: the id of an uploaded file.
        channel: the default is the channel of the customer's last message.
        last_seen_message_id: the last message that the author has read. If another employee replies before the message
            is sent, it is refused.
        resolve: whether to resolve the conversation after the message is sent.
        employee_user_id: the employee who sends the message; None if a program does.
        idempotency_key: see ``send_message_to_business``.

    Raises:
        ValidationFailed: 400.
        NotFound: 404.
        Conflict: 409, as for ``send_message``. Nothing is scheduled.
        ShopbellError: any other failure.
    """
    body = without_none(
        {
            "customerThreadId": thread_id,
            "text": text,
            "sendAt": send_at_ms,
            "delayMs": delay_ms,
            "contentSid": content_sid,
            "attachmentId": attachment_id,
            "channel": channel,
            "lastSeenMessageId": last_seen_message_id,
            "resolve": resolve,
            "employeeUserId": employee_user_id,
        }
    )
    return Call(
        method="POST",
        path="/api/scheduled-messages",
        parse=reader(Scheduled),
        body=body,
        idempotency_key=idempotency_key or new_key(),
    )


def scheduled_messages(
    *, thread_id: Id | None = None, state: str | None = None, page_size: int | None = None
) -> Pages[ScheduledMessage]:
    """List scheduled messages, newest first. Those that were sent or cancelled are listed for a day.

    Args:
        thread_id: only messages of this conversation.
        state: only messages in this state.
        page_size: messages per request, 1 to 200. The default is the server's.

    Raises:
        ShopbellError: any failure, raised while iterating.
    """
    path = "/api/scheduled-messages"
    filters = {"customerThreadId": thread_id, "state": state}
    return pages(path, "scheduledMessages", ScheduledMessage, **filters, limit=page_size)


def update_scheduled_message(
    scheduled_message_id: Id,
    *,
    text: str | None = None,
    send_at_ms: int | None = None,
    delay_ms: int | None = None,
    attachment_id: Id | None = None,
    channel: Channel | None = None,
    last_seen_message_id: Id | None = None,
    resolve: bool | None = None,
    employee_user_id: Id | None = None,
) -> Call[ScheduledMessage]:
    """Change a message that was not sent, and schedule it again if it was refused. None leaves a field unchanged.

    Args:
        text: replaces a template, too.
        send_at_ms: the new time in Unix milliseconds. Without one, a message whose time has passed is sent at once.
        delay_ms: instead of ``send_at_ms``: 0 to 30,000 milliseconds.
        last_seen_message_id: pass it to reply although another employee has replied.
        employee_user_id: the employee who changes it, and is its author from now on.

    Raises:
        ValidationFailed: 400.
        NotFound: 404.
        Conflict: 409, the message was sent or cancelled, or as for ``send_message``.
        ShopbellError: any other failure.
    """
    return post(
        f"/api/scheduled-messages/{path_segment(scheduled_message_id)}/update",
        ScheduledMessage,
        text=text,
        sendAt=send_at_ms,
        delayMs=delay_ms,
        attachmentId=attachment_id,
        channel=channel,
        lastSeenMessageId=last_seen_message_id,
        resolve=resolve,
        employeeUserId=employee_user_id,
    )


def cancel_scheduled_message(scheduled_message_id: Id) -> Call[ScheduledMessage]:
    """Cancel a message that was not sent, and return it.

    Raises:
        NotFound: 404.
        Conflict: 409, it was sent.
        ShopbellError: any other failure.
    """
    return post(f"/api/scheduled-messages/{path_segment(scheduled_message_id)}/cancel", ScheduledMessage)
