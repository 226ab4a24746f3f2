"""Messages: from a customer to a business, and into a conversation."""

from dataclasses import dataclass, field

from shopbell.client.call import Answer, Call, Id, Pages, new_key, pages, part, present
from shopbell.client.shape import named, read


@dataclass(frozen=True, slots=True)
class SentMessage:
    """A customer's message, stored for good.

    Args:
        thread_id: the conversation's id.
        replayed: whether it was there already, stored by an earlier request with the same key.
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
    """Open a customer's conversation with a business, or go on with it, with a message of the customer.

    Args:
        business_id: a business of the token's organization.
        message: 1 to 10,000 characters.
        email: the customer's; this or ``phone_number`` must be there.
        phone_number: the customer's; without ``+`` a number of the business's region.
        locale: the customer's language tag, such as ``pt-BR``.
        name: the customer's, 1 to 200 characters; kept where the customer has no name yet.
        idempotency_key: 1 to 255 visible ASCII characters; one is made when none is given, so that the repetitions
            within this call have one effect. Give your own to make calls of yours one.

    Raises:
        ValidationFailed: 400; ``errors`` says which fields.
        BusinessNotInOrganization: 403.
        ShopbellError: any other reason.
    """

    def parse(answer: Answer) -> SentMessage:
        thread_id = read(str, answer.json().get("customerThreadId"), "#/customerThreadId")
        return SentMessage(thread_id, answer.headers.get("idempotent-replayed") == "true")

    user = present({"email": email, "phoneNumber": phone_number, "locale": locale, "name": name})
    return Call(
        method="POST",
        path="/api/widget/send-message-to-business",
        parse=parse,
        body={"businessId": business_id, "message": message, "user": user},
        idempotency_key=idempotency_key or new_key(),
    )


@dataclass(frozen=True, slots=True)
class _Sent:
    message_id: str


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
    """Answer in a conversation, and return the message's id.

    Args:
        thread_id: the conversation.
        text: what to say; this or ``content_sid``, not both.
        content_sid: the id of a template, which goes through where free text does not.
        internal: only for employees; the customer never sees it.
        last_seen_message_id: the message up to which the writer has read; if a colleague has answered since, nothing
            is sent.
        attachment_id: a file that was uploaded before.
        employee_user_id: the employee in whose name it is sent; a program's own message without.
        channel: ``WEB``, ``EMAIL``, ``SMS`` or ``WHATSAPP``; where the customer last wrote unless given.
        idempotency_key: as in ``send_message_to_business``.

    Raises:
        ValidationFailed: 400.
        NotFound: 404, also for another organization's conversation.
        Conflict: 409, a colleague has answered meanwhile, or the channel takes only templates now; nothing is sent.
        ShopbellError: any other reason.
    """

    def parse(answer: Answer) -> str:
        return read(_Sent, answer.json()).message_id

    sent = {
        "customerThreadId": thread_id,
        "text": text,
        "contentSid": content_sid,
        "internal": internal,
        "lastSeenMessageId": last_seen_message_id,
        "attachmentId": attachment_id,
        "employeeUserId": employee_user_id,
        "channel": channel,
    }
    return Call(
        method="POST",
        path="/api/send-message-to-customer-thread",
        parse=parse,
        body=present(sent),
        idempotency_key=idempotency_key or new_key(),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Attachment:
    """A file that a message carries."""

    id: str = named("attachmentId")
    uuid: str
    name: str = field(repr=False)
    content_type: str
    length_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageDelivery:
    """One way that a message took.

    Args:
        channel: ``WEB``, ``EMAIL``, ``SMS`` or ``WHATSAPP``.
        audience: ``customer`` or ``store``.
        state: ``queued``, ``sent``, ``delivered``, ``read`` or ``failed``.
        reason: why it failed, as a short name.
        at_ms: since when, in Unix milliseconds.
    """

    channel: str
    audience: str
    state: str
    reason: str | None
    at_ms: int = named("at")


@dataclass(frozen=True, slots=True, kw_only=True)
class MailFacts:
    """What is known of a mail that came in.

    Args:
        sender: the address that it says it is from: a claim.
        full_text: all of it, where the message's text is not.
        spf: what the receiving server found, as RFC 8601 names it.
        foreign_sender: whether it came from another address than the conversation's own.
        automatic: whether a program wrote it.
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
    """A message of a conversation.

    Args:
        sequence: its place in the conversation, from 1 on, without gaps.
        from_customer: whether it is the customer's, or the organization's own.
        internal: whether only employees see it.
        employee_user_id: the employee who wrote it; None for the customer and for programs.
        content_sid: the template that it was made from.
        channel: by which it came, or was told to go; None is the web, or where the customer last wrote.
        deliveries: what became of it, on each way that it took.
        mail: of a message that came by mail.
        created_at_ms: when it was stored, in Unix milliseconds.
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
    mail: MailFacts | None
    created_at_ms: int = named("createdAt")


def messages(thread_id: Id, *, after_sequence: int | None = None, page_size: int | None = None) -> Pages[Message]:
    """What was said in a conversation, in its order, notes for colleagues among it.

    Args:
        thread_id: the conversation.
        after_sequence: only what came after this place.
        page_size: how many to ask for at once, 1 to 200; the server's choice unless given.

    Raises:
        NotFound: 404.
        ShopbellError: any other reason, at any step.
    """
    path = f"/api/threads/{part(thread_id)}/messages"
    return pages(path, "messages", Message, afterSequence=after_sequence, limit=page_size)
