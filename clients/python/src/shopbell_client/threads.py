"""List conversations, and change their status, business or assignee."""

from dataclasses import dataclass
from typing import Literal

from shopbell_client.call import Call, Done, Id, Pages, get, get_list, pages, post
from shopbell_client.shape import json_field

Status = Literal["waiting", "replied", "resolved"]
Channel = Literal["WEB", "EMAIL", "SMS", "WHATSAPP"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Thread:
    """A conversation between a customer and a business. Times are Unix milliseconds.

    Args:
        customer_id: the customer. If they were merged into another customer, that customer.
        customer_channel: the channel of the customer.
        is_messaging_window_open: whether free text can be sent now. If not, send a template.
        assignee_user_id: the employee assigned to the conversation.
        updated_at_ms: when a message, its status, the business or the assignee last changed.
        last_sequence: the sequence number of the latest message.
        last_customer_message_at_ms: when the customer last sent a message.
    """

    id: str = json_field("customerThreadId")
    business_id: str
    customer_id: str
    customer_channel: str
    status: str
    is_messaging_window_open: bool
    assignee_user_id: str | None
    created_at_ms: int = json_field("createdAt")
    updated_at_ms: int = json_field("updatedAt")
    last_sequence: int
    last_customer_message_at_ms: int | None = json_field("lastCustomerMessageAt")


@dataclass(frozen=True, slots=True)
class WhatsAppTemplate:
    """A template that can be sent after the messaging window has closed."""

    title: str
    text: str
    content_sid: str


def update_thread_status(thread_id: Id, status: Status) -> Call[Done]:
    """Set the status of a conversation.

    Raises:
        NotFound: 404.
        ShopbellError: any other failure.
    """
    return post("/api/update-thread-status", Done, customerThreadId=thread_id, status=status)


def thread_details(thread_id: Id) -> Call[Thread]:
    """Get a conversation.

    Raises:
        NotFound: 404.
        ShopbellError: any other failure.
    """
    return get("/api/get-customer-thread-details", Thread, customerThreadId=thread_id)


def whatsapp_templates(thread_id: Id) -> Call[tuple[WhatsAppTemplate, ...]]:
    """List the templates that can be sent in a conversation.

    Raises:
        NotFound: 404.
        ShopbellError: any other failure.
    """
    return get_list("/api/get-whatsapp-templates", "templates", WhatsAppTemplate, customerThreadId=thread_id)


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
    """List conversations, newest first. Each argument narrows the list.

    Args:
        customer_id: conversations of this customer, and of customers who were merged into them.
        assignee_user_id: conversations that are assigned to this employee.
        updated_since_ms: conversations changed at or after this time, in Unix milliseconds.
        page_size: conversations per request, 1 to 200. The default is the server's.

    Raises:
        ShopbellError: any failure, raised while iterating.
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
    """Transfer a conversation to another business of the organization.

    Args:
        business_id: an active business.
        employee_user_id: the employee who transfers it; None if a program does.

    Raises:
        NotFound: 404.
        Conflict: 409, the conversation already belongs to that business, or the customer already has another
            conversation with it. Nothing changes.
        ShopbellError: any other failure.
    """
    path = "/api/transfer-customer-thread"
    return post(path, Done, customerThreadId=thread_id, businessId=business_id, employeeUserId=employee_user_id)


def assign_thread(thread_id: Id, employee_user_id: Id | None) -> Call[Done]:
    """Assign a conversation to an employee, or unassign it (None).

    Raises:
        NotFound: 404.
        ShopbellError: any other failure.
    """
    if employee_user_id is None:
        return post("/api/unassign-customer-thread", Done, customerThreadId=thread_id)
    return post("/api/assign-customer-thread", Done, customerThreadId=thread_id, employeeUserId=employee_user_id)
