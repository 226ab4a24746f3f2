"""Conversations: one customer's with one business."""

from dataclasses import dataclass
from typing import Literal

from shopbell.client.call import Answer, Call, Done, Id, get, post
from shopbell.client.shape import read

Status = Literal["waiting", "replied", "resolved"]


@dataclass(frozen=True, slots=True)
class ThreadDetails:
    """How a conversation stands.

    Args:
        customer_channel: ``WEB``, ``EMAIL``, ``SMS`` or ``WHATSAPP``.
        status: ``waiting``, ``replied`` or ``resolved``.
        is_messaging_window_open: whether free text may be sent now; else a template may.
    """

    customer_channel: str
    status: str
    is_messaging_window_open: bool


@dataclass(frozen=True, slots=True)
class WhatsAppTemplate:
    """A text that may be sent when the window is closed."""

    title: str
    text: str
    content_sid: str


@dataclass(frozen=True, slots=True)
class _Templates:
    templates: tuple[WhatsAppTemplate, ...]


def update_thread_status(thread_id: Id, status: Status) -> Call[Done]:
    """Set a conversation's status.

    Raises:
        NotFound: 404.
        ShopbellError: any other reason.
    """
    return post("/api/update-thread-status", Done, customerThreadId=thread_id, status=status)


def thread_details(thread_id: Id) -> Call[ThreadDetails]:
    """How a conversation stands.

    Raises:
        NotFound: 404.
        ShopbellError: any other reason.
    """
    return get("/api/get-customer-thread-details", ThreadDetails, customerThreadId=thread_id)


def whatsapp_templates(thread_id: Id) -> Call[tuple[WhatsAppTemplate, ...]]:
    """The templates that may be sent in a conversation, by their ``content_sid``.

    Raises:
        NotFound: 404.
        ShopbellError: any other reason.
    """

    def parse(answer: Answer) -> tuple[WhatsAppTemplate, ...]:
        return read(_Templates, answer.json()).templates

    path = "/api/get-whatsapp-templates"
    return Call(method="GET", path=path, parse=parse, query={"customerThreadId": str(thread_id)})
