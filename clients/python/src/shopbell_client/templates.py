"""Manage message templates.

Templates can be sent after a channel's messaging window has closed.
"""

from dataclasses import dataclass

from shopbell_client.call import Call, Done, Id, Pages, pages, path_segment, post
from shopbell_client.shape import json_field


@dataclass(frozen=True, slots=True, kw_only=True)
class Template:
    """A message template. Pass its ``content_sid`` to ``send_message``."""

    id: str
    title: str
    text: str
    content_sid: str
    created_at_ms: int = json_field("createdAt")


def templates(*, page_size: int | None = None) -> Pages[Template]:
    """List all templates of the organization, oldest first.

    Raises:
        ShopbellError: any failure, raised while iterating.
    """
    return pages("/api/templates", "templates", Template, limit=page_size)


def create_template(title: str, text: str, *, content_sid: str | None = None) -> Call[Template]:
    """Create a template.

    Args:
        title: shown to employees.
        text: sent to customers.
        content_sid: the template's id at the channel's provider. By default, the server generates one.

    Raises:
        ValidationFailed: 400.
        Conflict: 409, another template has this ``content_sid``.
        ShopbellError: any other failure.
    """
    return post("/api/templates", Template, title=title, text=text, contentSid=content_sid)


def delete_template(template_id: Id) -> Call[Done]:
    """Delete a template. Messages that were sent from it are kept.

    Raises:
        NotFound: 404.
        ShopbellError: any other failure.
    """
    return post(f"/api/templates/{path_segment(template_id)}/delete", Done)
