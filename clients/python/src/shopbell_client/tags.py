"""Manage tags, and set them on conversations."""

from collections.abc import Sequence
from dataclasses import dataclass

from shopbell_client.call import Call, Done, Id, Pages, pages, path_segment, post
from shopbell_client.shape import json_field


@dataclass(frozen=True, slots=True, kw_only=True)
class Tag:
    """A tag for conversations.

    Args:
        color: ``#rrggbb``, or None.
        created_at_ms: in Unix milliseconds.
    """

    id: str = json_field("tagId")
    name: str
    color: str | None
    created_at_ms: int = json_field("createdAt")


def tags(*, page_size: int | None = None) -> Pages[Tag]:
    """List the tags of the organization, oldest first.

    Args:
        page_size: tags per request, 1 to 200. The default is the server's.

    Raises:
        ShopbellError: any failure, raised while iterating.
    """
    return pages("/api/tags", "tags", Tag, limit=page_size)


def create_tag(name: str, *, color: str | None = None) -> Call[Tag]:
    """Create a tag.

    Args:
        name: 1 to 50 characters, unique in the organization apart from case and accents.
        color: ``#rrggbb``.

    Raises:
        ValidationFailed: 400.
        Conflict: 409, another tag has the name, or the organization has 500 tags.
        ShopbellError: any other failure.
    """
    return post("/api/tags", Tag, name=name, color=color)


def update_tag(tag_id: Id, *, name: str | None = None, color: str | None = None) -> Call[Done]:
    """Change a tag. None leaves a field unchanged.

    Args:
        color: ``#rrggbb``. An empty string removes the color.

    Raises:
        ValidationFailed: 400.
        NotFound: 404.
        Conflict: 409, another tag has the name.
        ShopbellError: any other failure.
    """
    return post(f"/api/tags/{path_segment(tag_id)}/update", Done, name=name, color=color)


def delete_tag(tag_id: Id) -> Call[Done]:
    """Delete a tag, and remove it from all conversations.

    Raises:
        NotFound: 404.
        ShopbellError: any other failure.
    """
    return post(f"/api/tags/{path_segment(tag_id)}/delete", Done)


def set_thread_tags(
    thread_id: Id, *, add: Sequence[Id] = (), remove: Sequence[Id] = (), employee_user_id: Id | None = None
) -> Call[Done]:
    """Add tags to a conversation, and remove others from it.

    Args:
        add: ids of tags to add; those that the conversation has already stay.
        remove: ids of tags to remove.
        employee_user_id: the employee who does it; None if a program does.

    Raises:
        ValidationFailed: 400, for example if a tag is in both lists.
        NotFound: 404.
        Conflict: 409, the conversation would have more than 50 tags.
        ShopbellError: any other failure.
    """
    return post(
        "/api/tags/set-on-thread",
        Done,
        customerThreadId=thread_id,
        addTagIds=list(add),
        removeTagIds=list(remove),
        employeeUserId=employee_user_id,
    )
