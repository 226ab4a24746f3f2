"""Read the inbox as employees see it, write to customers first, and snooze conversations."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from shopbell_client.call import Call, Done, Id, Pages, Response, get, new_key, pages, path_segment, post, without_none
from shopbell_client.customers import CustomerProfile
from shopbell_client.drafts import Draft
from shopbell_client.messages import Message
from shopbell_client.scheduled_messages import ScheduledMessage
from shopbell_client.shape import json_field, read
from shopbell_client.threads import Channel

View = Literal["needs-reply", "mine", "unassigned", "mentions", "snoozed", "open", "resolved"]
Sort = Literal["waiting", "recent"]


@dataclass(frozen=True, slots=True, kw_only=True)
class InboxThread:
    """A conversation in the inbox. Times are Unix milliseconds.

    Args:
        customer_id: the customer. If they were merged into another customer, that customer.
        customer_name: name, company, email address or phone number, whatever is known first.
        channel: the channel of the customer.
        assignee_user_id: the employee assigned to the conversation.
        waiting_since_ms: the customer's first message without a reply; None unless the status is ``waiting``.
        last_message_at_ms: the time of the last message that is not an internal note. ``preview`` is the start of its
            text, on one line.
        last_author: who wrote it: ``customer``, ``employee`` or ``program``.
        last_sequence: the sequence number of the last message, including internal notes.
        unread: whether the employee has not read a message of the customer. Without an employee, False.
        mentioned: whether an unread note mentions the employee.
        position: the position of the event that changed the conversation last.
    """

    id: str = json_field("customerThreadId")
    business_id: str
    customer_id: str
    customer_name: str | None = field(repr=False)
    channel: str
    status: str
    assignee_user_id: str | None
    waiting_since_ms: int | None = json_field("waitingSince")
    last_message_at_ms: int = json_field("lastMessageAt")
    preview: str = field(repr=False)
    last_author: str
    last_sequence: int
    unread: bool
    mentioned: bool
    snoozed_until_ms: int | None = json_field("snoozedUntil")
    tag_ids: tuple[str, ...]
    position: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ViewCounts:
    """The number of conversations in each view. Resolved ones are not counted."""

    needs_reply: int = json_field("needs-reply")
    mine: int
    unassigned: int
    mentions: int
    snoozed: int
    open: int


@dataclass(frozen=True, slots=True)
class BusinessCount:
    """The number of a business's conversations that need a reply."""

    business_id: str
    needs_reply: int


@dataclass(frozen=True, slots=True)
class SavedViewCount:
    """The number of conversations in a saved view, at most 1,000."""

    saved_view_id: str
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class InboxCounts:
    """How many conversations there are.

    Args:
        businesses: those with conversations that need a reply.
        saved_views: those of the employee, and shared ones.
    """

    views: ViewCounts
    businesses: tuple[BusinessCount, ...]
    saved_views: tuple[SavedViewCount, ...]


@dataclass(frozen=True, slots=True)
class InboxCustomer(CustomerProfile):
    """The profile of a customer, and more. Its ``repr`` contains no personal data. Times are Unix milliseconds.

    Args:
        unverified_email_address: an address that a visitor entered and did not confirm: it may be another person's.
        unverified_phone_number: a number of this kind.
    """

    unverified_email_address: str | None = field(repr=False)
    unverified_phone_number: str | None = field(repr=False)
    created_at_ms: int = json_field("createdAt")
    blocked_at_ms: int | None = json_field("blockedAt")


@dataclass(frozen=True, slots=True, kw_only=True)
class Activity:
    """Something that happened to a conversation, besides its messages.

    Args:
        type: the type of the event, such as ``assignment``.
        at_ms: in Unix milliseconds.
        after_sequence: the sequence number of the last message before it.
        actor_user_id: the employee who did it.
        details: the ``data`` of the event.
    """

    type: str
    at_ms: int = json_field("at")
    after_sequence: int
    actor_user_id: str | None
    actor_name: str | None = field(repr=False)
    details: Mapping[str, Any] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Viewer:
    """An employee who has the conversation open. ``state`` is ``viewing`` or ``writing``."""

    employee_user_id: str
    state: str


@dataclass(frozen=True, slots=True)
class PossibleSame:
    """A customer who may be the same person."""

    customer_id: str
    display_name: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenedThread:
    """All that the inbox shows of a conversation.

    Args:
        customer: None if the token lacks the scope ``customers:read``.
        messages: the last 50, in order.
        has_more: whether there are earlier messages; ``messages`` of the client lists all.
        read_sequence: the last message that the employee has read, or 0.
        customer_read_sequence: the last message that the customer has read, or 0.
        drafts: those of the employee, and those that programs suggest.
        scheduled_messages: those that were refused or not sent yet.
        activities: what happened in the time of ``messages``, in order.
        is_messaging_window_open: whether free text can be sent now. If not, send a template.
        other_threads: the customer's other conversations.
        stream_position: all events up to this position are included.
    """

    thread: InboxThread
    customer: InboxCustomer | None
    messages: tuple[Message, ...]
    has_more: bool
    read_sequence: int
    customer_read_sequence: int
    drafts: tuple[Draft, ...]
    scheduled_messages: tuple[ScheduledMessage, ...]
    activities: tuple[Activity, ...]
    viewers: tuple[Viewer, ...]
    is_messaging_window_open: bool
    other_threads: tuple[InboxThread, ...]
    possible_duplicates: tuple[PossibleSame, ...]
    stream_position: int


@dataclass(frozen=True, slots=True)
class StartedConversation:
    """A conversation that you started with a customer.

    Args:
        replayed: whether an earlier request with the same idempotency key stored the message.
    """

    thread_id: str
    message_id: str
    replayed: bool


def inbox_threads(
    view: View = "needs-reply",
    *,
    business_id: Id | None = None,
    assignee_user_id: Id | None = None,
    tag_id: Id | None = None,
    channel: Channel | None = None,
    thread_ids: Sequence[Id] | None = None,
    sort: Sort | None = None,
    employee_user_id: Id | None = None,
    page_size: int | None = None,
) -> Pages[InboxThread]:
    """List conversations as the inbox does. Each argument narrows the list.

    Args:
        view: ``mine`` and ``mentions`` need ``employee_user_id``.
        assignee_user_id: conversations that are assigned to this employee.
        thread_ids: exactly these conversations, 1 to 100, whatever the view.
        sort: ``waiting`` (default): first the customer who has waited longest. ``recent``: by the last message, newest
            first.
        employee_user_id: the employee who reads. Without one, nothing is unread.
        page_size: conversations per request, 1 to 100. The default is the server's.

    Raises:
        ValueError: ``thread_ids`` is empty.
        ValidationFailed: 400.
        NotFound: 404, the organization has no such active employee.
        ShopbellError: any other failure, raised while iterating.
    """
    if thread_ids is not None and not thread_ids:
        raise ValueError("thread_ids is empty")  # as a parameter, it would be absent and list all
    return pages(
        "/api/inbox/threads",
        "threads",
        InboxThread,
        view=view,
        businessId=business_id,
        assigneeUserId=assignee_user_id,
        tagId=tag_id,
        channel=channel,
        customerThreadId=None if thread_ids is None else list(thread_ids),
        sort=sort,
        employeeUserId=employee_user_id,
        limit=page_size,
    )


def inbox_counts(*, employee_user_id: Id | None = None) -> Call[InboxCounts]:
    """Count the conversations of each view.

    Args:
        employee_user_id: the employee who reads. Without one, ``mine`` and ``mentions`` are 0.

    Raises:
        NotFound: 404, the organization has no such active employee.
        ShopbellError: any other failure.
    """
    return get("/api/inbox/counts", InboxCounts, employeeUserId=employee_user_id)


def open_inbox_thread(thread_id: Id, *, employee_user_id: Id | None = None) -> Call[OpenedThread]:
    """Get all that the inbox shows of a conversation. It does not become read.

    Args:
        employee_user_id: the employee who reads.

    Raises:
        NotFound: 404.
        ShopbellError: any other failure.
    """
    return get(f"/api/inbox/threads/{path_segment(thread_id)}", OpenedThread, employeeUserId=employee_user_id)


def start_conversation(
    business_id: Id,
    text: str,
    *,
    customer_id: Id | None = None,
    email: str | None = None,
    phone_number: str | None = None,
    first_name: str | None = None,
    last_name: str | None = None,
    channel: Channel | None = None,
    employee_user_id: Id | None = None,
    idempotency_key: str | None = None,
) -> Call[StartedConversation]:
    """Write to a customer first.

    A customer has one conversation with each business. If there is one already, the message is added to it.

    Args:
        text: 1 to 10,000 characters.
        customer_id: a customer. Pass exactly one of ``customer_id``, ``email`` and ``phone_number``.
        email: the customer with this address, who is created if there is none.
        phone_number: the customer with this number, who is created if there is none. Without ``+``, it belongs to the
            region of the business.
        first_name: the name of a customer who is created; the same for ``last_name``.
        channel: the channel to send it by. The default is that of the address, or of the conversation.
        employee_user_id: the employee who sends the message; None if a program does.
        idempotency_key: see ``send_message_to_business``.

    Raises:
        ValidationFailed: 400.
        NotFound: 404.
        Conflict: 409, the business is closed, the customer was erased, or as for ``send_message``.
        ShopbellError: any other failure.
    """

    def parse(response: Response) -> StartedConversation:
        body = response.json()
        return StartedConversation(
            read(str, body.get("customerThreadId"), "#/customerThreadId"),
            read(str, body.get("messageId"), "#/messageId"),
            response.headers.get("idempotent-replayed") == "true",
        )

    body = without_none(
        {
            "businessId": business_id,
            "text": text,
            "customerId": customer_id,
            "emailAddress": email,
            "phoneNumber": phone_number,
            "firstName": first_name,
            "lastName": last_name,
            "channel": channel,
            "employeeUserId": employee_user_id,
        }
    )
    return Call(
        method="POST",
        path="/api/inbox/start-conversation",
        parse=parse,
        body=body,
        idempotency_key=idempotency_key or new_key(),
    )


def snooze_thread(
    thread_id: Id, until_ms: int, *, keep: bool = False, employee_user_id: Id | None = None
) -> Call[Done]:
    """Hide a conversation from the lists of those that need a reply.

    Args:
        until_ms: a time in the future, in Unix milliseconds.
        keep: whether it stays hidden if the customer writes.
        employee_user_id: the employee who snoozes it; None if a program does.

    Raises:
        ValidationFailed: 400, the time has passed.
        NotFound: 404.
        Conflict: 409, the conversation is resolved.
        ShopbellError: any other failure.
    """
    path = "/api/inbox/snooze"
    return post(path, Done, customerThreadId=thread_id, until=until_ms, keep=keep, employeeUserId=employee_user_id)


def unsnooze_thread(thread_id: Id, *, employee_user_id: Id | None = None) -> Call[Done]:
    """Show a conversation again. If it is not snoozed, nothing happens.

    Args:
        employee_user_id: the employee who does it; None if a program does.

    Raises:
        NotFound: 404.
        ShopbellError: any other failure.
    """
    return post("/api/inbox/unsnooze", Done, customerThreadId=thread_id, employeeUserId=employee_user_id)
