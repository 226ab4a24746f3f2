"""Send and list messages."""

from dataclasses import dataclass, field

from shopbell_client.call import Call, Id, Pages, Response, new_key, pages, path_segment, without_none
from shopbell_client.shape import json_field, read


@dataclass(frozen=True, slots=True)
class SentMessage:
    """A customer's message that the server has stored.

    Args:
        thread_id: the id of the conversation.
        replayed: whether an earlier request with the same idempotency key stored it.
    """

    thread_id: str
    replayed: bool


def send_message_to_business(
    business_id: Id,
    message: str,
    *,
    email: str | None = None,
    phone_number: str | None = None,
    locale: str | None = None,
    name: str | None = None,
    idempotency_key: str | None = None,
) -> Call[SentMessage]:
    """Send a customer's message to a business.

    This opens or continues their conversation.

    Args:
        business_id: a business of the token's organization.
        message: 1 to 10,000 characters.
        email: the customer's email address. ``email`` or ``phone_number`` is required.
        phone_number: the customer's phone number. Without ``+``, it belongs to the region of the business.
        locale: the customer's language tag, such as ``pt-BR``.
        name: the customer's name, 1 to 200 characters. It does not replace an existing name.
        idempotency_key: 1 to 255 visible ASCII characters. By default, each call gets a new key, so that its retries
            send one message. Pass the same key to several calls to send one message with them.

    Raises:
        ValidationFailed: 400; ``errors`` lists the invalid fields.
        BusinessNotInOrganization: 403.
        ShopbellError: any other failure.
    """

    def parse(response: Response) -> SentMessage:
        thread_id = read(str, response.json().get("customerThreadId"), "#/customerThreadId")
        return SentMessage(thread_id, response.headers.get("idempotent-replayed") == "true")

    user = without_none({"email": email, "phoneNumber": phone_number, "locale": locale, "name": name})
    return Call(
        method="POST",
        path="/api/widget/send-message-to-business",
        parse=parse,
        body={"businessId": business_id, "message": message, "user": user},
        idempotency_key=idempotency_key or new_key(),
    )


def send_message(
    thread_id: Id,
    text: str | None = None,
    *,
    content_sid: str | None = None,
    internal: bool = False,
    last_seen_message_id: Id | None = None,
    attachment_id: Id | None = None,
    employee_user_id: Id | None = None,
    channel: str | None = None,
    idempotency_key: str | None = None,
) -> Call[str]:
    """Reply in a conversation, and return the id of the message.

    Args:
        text: the message. Pass either ``text`` or ``content_sid``.
        content_sid: the ``content_sid`` of a template.
        internal: whether to send an internal note, which only employees see.
        last_seen_message_id: the last message that the author has read. If another employee has replied since, nothing
            is sent.
        attachment_id: the id of an uploaded file.
        employee_user_id: the employee who sends the message; None if a program does.
        channel: ``WEB``, ``EMAIL``, ``SMS`` or ``WHATSAPP``. The default is the channel of the customer's last message.
        idempotency_key: see ``send_message_to_business``.

    Raises:
        ValidationFailed: 400.
        NotFound: 404.
        Conflict: 409, another employee has replied, or the channel accepts only templates now. Nothing is sent.
        ShopbellError: any other failure.
    """

    def parse(response: Response) -> str:
        return read(str, response.json().get("messageId"), "#/messageId")

    body = without_none(
        {
            "customerThreadId": thread_id,
            "text": text,
            "contentSid": content_sid,
            "internal": internal,
            "lastSeenMessageId": last_seen_message_id,
            "attachmentId": attachment_id,
            "employeeUserId": employee_user_id,
            "channel": channel,
        }
    )
    return Call(
        method="POST",
        path="/api/send-message-to-customer-thread",
        parse=parse,
        body=body,
        idempotency_key=idempotency_key or new_key(),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Attachment:
    """The attachment of a message."""

    id: str = json_field("attachmentId")
    uuid: str
    name: str = field(repr=False)
    content_type: str
    length_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageDelivery:
    """The delivery of a message through one channel.

    Args:
        channel: ``WEB``, ``EMAIL``, ``SMS`` or ``WHATSAPP``.
        audience: ``customer`` or ``store``.
        state: ``queued``, ``sent``, ``delivered``, ``read`` or ``failed``.
        reason: a short identifier of the reason for a failure.
        at_ms: when this state was reached, in Unix milliseconds.
    """

    channel: str
    audience: str
    state: str
    reason: str | None
    at_ms: int = json_field("at")


@dataclass(frozen=True, slots=True, kw_only=True)
class EmailDetails:
    """Details of a message that was received by email.

    Args:
        sender: the address in ``From``. Anyone can forge it.
        full_text: the whole text, including quotes, if the message contains only a part of it.
        spf: the result of the receiving mail server (RFC 8601); the same for ``dkim`` and ``dmarc``.
        foreign_sender: whether the address is not the conversation's customer's.
        automatic: whether a program sent the email.
    """

    sender: str | None = field(repr=False)
    sender_name: str | None = field(repr=False)
    subject: str | None = field(repr=False)
    full_text: str | None = field(repr=False)
    spf: str | None
    dkim: str | None
    dmarc: str | None
    foreign_sender: bool
    automatic: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """A message in a conversation.

    Args:
        sequence: the message's place in the conversation: 1, 2, 3 and so on.
        from_customer: False for messages of the organization.
        internal: whether only employees see it.
        employee_user_id: the employee who sent it; None for customers and programs.
        content_sid: the template that it was created from.
        channel: the channel that it came from or was sent to; None for the default channel.
        deliveries: its delivery through each channel.
        mail: for messages received by email.
        created_at_ms: in Unix milliseconds.
    """

    id: str
    sequence: int
    text: str = field(repr=False)
    from_customer: bool
    internal: bool
    employee_user_id: str | None
    content_sid: str | None
    external_id: str | None
    attachment: Attachment | None
    channel: str | None
    deliveries: tuple[MessageDelivery, ...]
    mail: EmailDetails | None
    created_at_ms: int = json_field("createdAt")


def messages(thread_id: Id, *, after_sequence: int | None = None, page_size: int | None = None) -> Pages[Message]:
    """List the messages of a conversation in order, including internal notes.

    Args:
        after_sequence: only messages after this sequence number.
        page_size: messages per request, 1 to 200. The default is the server's.

    Raises:
        NotFound: 404.
        ShopbellError: any other failure, raised while iterating.
    """
    path = f"/api/threads/{path_segment(thread_id)}/messages"
    return pages(path, "messages", Message, afterSequence=after_sequence, limit=page_size)
