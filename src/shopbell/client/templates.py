"""Templates: texts that may be sent when a channel's window is closed."""

from dataclasses import dataclass

from shopbell.client.call import Call, Done, Id, Pages, pages, part, post
from shopbell.client.shape import named


@dataclass(frozen=True, slots=True, kw_only=True)
class Template:
    """A text to be sent later, by its ``content_sid``."""

    id: str
    title: str
    text: str
    content_sid: str
    created_at_ms: int = named("createdAt")


def templates(*, page_size: int | None = None) -> Pages[Template]:
    """All templates of the organization, the oldest first.

    Raises:
        ShopbellError: for any reason, at any step.
    """
    return pages("/api/templates", "templates", Template, limit=page_size)


def create_template(title: str, text: str, *, content_sid: str | None = None) -> Call[Template]:
    """Make a template.

    Args:
        title: what employees choose it by.
        text: what customers read.
        content_sid: what the channel's provider calls it; one is made unless given.

    Raises:
        ValidationFailed: 400.
        Conflict: 409, another one has that ``content_sid``.
        ShopbellError: any other reason.
    """
    return post("/api/templates", Template, title=title, text=text, contentSid=content_sid)


def delete_template(template_id: Id) -> Call[Done]:
    """Take a template away; what was sent with it stays.

    Raises:
        NotFound: 404.
        ShopbellError: any other reason.
    """
    return post(f"/api/templates/{part(template_id)}/delete", Done)
