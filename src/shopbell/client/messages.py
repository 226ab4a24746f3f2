"""Messages: from a customer to a business, and into a conversation."""

from dataclasses import dataclass

from shopbell.client.call import Answer, Call, Id, new_key, present
from shopbell.client.shape import read


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
    idempotency_key: str | None = None,
) -> Call[SentMessage]:
    """Open a customer's conversation with a business, or go on with it, with a message of the customer.

    Args:
        business_id: a business of the token's organization.
        message: 1 to 10,000 characters.
        email: the customer's; this or ``phone_number`` must be there.
        phone_number: the customer's; without ``+`` a number of the business's region.
        locale: the customer's language tag, such as ``pt-BR``.
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

    user = present({"email": email, "phoneNumber": phone_number, "locale": locale})
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
    }
    return Call(
        method="POST",
        path="/api/send-message-to-customer-thread",
        parse=parse,
        body=present(sent),
        idempotency_key=idempotency_key or new_key(),
    )
