"""Conversations: one customer's with one business."""

from dataclasses import dataclass
from typing import Literal

from shopbell.client.call import Call, Done, Id, Pages, get, get_all, pages, post
from shopbell.client.shape import named

Status = Literal["waiting", "replied", "resolved"]
Channel = Literal["WEB", "EMAIL", "SMS", "WHATSAPP"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Thread:
    """How a conversation stands.

    Args:
        customer_id: where the customer who began it was merged into another, that other one.
        customer_channel: how the customer is reached.
        is_messaging_window_open: whether free text may be sent now; else a template may.
        assignee_user_id: the employee who looks after it, if one does.
        created_at_ms: in Unix milliseconds, as all times.
        updated_at_ms: when a message, its status, its business or its assignee last changed.
        last_sequence: the place of its last message.
        last_customer_message_at_ms: when the customer last wrote.
    """

    id: str = named("customerThreadId")
    business_id: str
    customer_id: str
    customer_channel: str
    status: str
    is_messaging_window_open: bool
    assignee_user_id: str | None
    created_at_ms: int = named("createdAt")
    updated_at_ms: int = named("updatedAt")
    last_sequence: int
    last_customer_message_at_ms: int | None = named("lastCustomerMessageAt")


@dataclass(frozen=True, slots=True)
class WhatsAppTemplate:
    """A text that may be sent when the window is closed."""

    title: str
    text: str
    content_sid: str


def update_thread_status(thread_id: Id, status: Status) -> Call[Done]:
    """Set a conversation's status.

    Raises:
        NotFound: 404.
        ShopbellError: any other reason.
    """
    return post("/api/update-thread-status", Done, customerThreadId=thread_id, status=status)


def thread_details(thread_id: Id) -> Call[Thread]:
    """How a conversation stands.

    Raises:
        NotFound: 404.
        ShopbellError: any other reason.
    """
    return get("/api/get-customer-thread-details", Thread, customerThreadId=thread_id)


def whatsapp_templates(thread_id: Id) -> Call[tuple[WhatsAppTemplate, ...]]:
    """What may be sent in a conversation at any time, by its ``content_sid``.

    Raises:
        NotFound: 404.
        ShopbellError: any other reason.
    """
    return get_all("/api/get-whatsapp-templates", "templates", WhatsAppTemplate, customerThreadId=thread_id)


def threads(
    *,
    business_id: Id | None = None,
    customer_id: Id | None = None,
    assignee_user_id: Id | None = None,
    status: Status | None = None,
    channel: Channel | None = None,
    updated_since_ms: int | None = None,
    page_size: int | None = None,
) -> Pages[Thread]:
    """Conversations, the newest first: all, or those that fit everything that is given.

    Args:
        business_id: with this business.
        customer_id: of this customer, and of those who were merged with it.
        assignee_user_id: those that this employee looks after.
        status: of this status.
        channel: of this channel.
        updated_since_ms: changed at this time, in Unix milliseconds, or later.
        page_size: how many to ask for at once, 1 to 200; the server's choice unless given.

    Raises:
        ShopbellError: for any reason, at any step.
    """
    return pages(
        "/api/threads",
        "threads",
        Thread,
        businessId=business_id,
        customerId=customer_id,
        assigneeUserId=assignee_user_id,
        status=status,
        channel=channel,
        updatedSince=updated_since_ms,
        limit=page_size,
    )


def transfer_thread(thread_id: Id, business_id: Id, *, employee_user_id: Id | None = None) -> Call[Done]:
    """Hand a conversation with all its messages over to another business of the organization.

    Args:
        thread_id: the conversation.
        business_id: an active business.
        employee_user_id: the employee who transfers it; a program unless given.

    Raises:
        NotFound: 404.
        Conflict: 409, it is there already, or the customer has another conversation there; nothing is changed.
        ShopbellError: any other reason.
    """
    path = "/api/transfer-customer-thread"
    return post(path, Done, customerThreadId=thread_id, businessId=business_id, employeeUserId=employee_user_id)


def assign_thread(thread_id: Id, employee_user_id: Id | None) -> Call[Done]:
    """Let an employee look after a conversation, whoever did before; None for nobody in particular.

    Raises:
        NotFound: 404.
        ShopbellError: any other reason.
    """
    if employee_user_id is None:
        return post("/api/unassign-customer-thread", Done, customerThreadId=thread_id)
    return post("/api/assign-customer-thread", Done, customerThreadId=thread_id, employeeUserId=employee_user_id)
