"""Manage saved replies: texts that employees send often."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from shopbell_client.attachments import LinkedFile
from shopbell_client.call import Call, Done, Id, Pages, pages, path_segment, post
from shopbell_client.shape import json_field


@dataclass(frozen=True, slots=True, kw_only=True)
class SavedReply:
    """A text that employees send often.

    Args:
        shortcut: what employees type to insert it.
        title: its name for employees.
        text: may contain variables such as ``{{first_name}}``.
        business_id: the only business that uses it; None for all businesses.
        attachments: its files.
        updated_at_ms: in Unix milliseconds.
    """

    id: str = json_field("savedReplyId")
    shortcut: str
    title: str
    text: str = field(repr=False)
    business_id: str | None
    attachments: tuple[LinkedFile, ...]
    updated_at_ms: int = json_field("updatedAt")


def saved_replies(*, business_id: Id | None = None, page_size: int | None = None) -> Pages[SavedReply]:
    """List saved replies, oldest first.

    Args:
        business_id: only those that this business uses, including those for all businesses.
        page_size: saved replies per request, 1 to 200. The default is the server's.

    Raises:
        NotFound: 404.
        ShopbellError: any other failure, raised while iterating.
    """
    return pages("/api/saved-replies", "savedReplies", SavedReply, businessId=business_id, limit=page_size)


def create_saved_reply(
    shortcut: str,
    title: str,
    text: str,
    *,
    business_id: Id | None = None,
    attachment_ids: Sequence[Id] = (),
) -> Call[SavedReply]:
    """Create a saved reply.

    Args:
        shortcut: 1 to 32 letters, digits, ``-`` and ``_``.
        title: its name for employees.
        text: 1 to 10,000 characters. It may contain the variables ``{{first_name}}``, ``{{last_name}}``,
            ``{{business}}`` and ``{{employee}}``, and no other double braces.
        business_id: the only business that uses it. None is for all businesses.
        attachment_ids: uploaded files, at most 10.

    Raises:
        ValidationFailed: 400.
        NotFound: 404.
        Conflict: 409, another one has the shortcut, or the organization has 2,000 saved replies.
        ShopbellError: any other failure.
    """
    return post(
        "/api/saved-replies",
        SavedReply,
        shortcut=shortcut,
        title=title,
        text=text,
        businessId=business_id,
        attachmentIds=list(attachment_ids),
    )


def update_saved_reply(
    saved_reply_id: Id,
    *,
    shortcut: str | None = None,
    title: str | None = None,
    text: str | None = None,
    business_id: Id | None = None,
    all_businesses: bool | None = None,
    attachment_ids: Sequence[Id] | None = None,
) -> Call[Done]:
    """Change a saved reply. None leaves a field unchanged.

    Args:
        business_id: the only business that uses it from now on.
        all_businesses: True, instead of ``business_id``, lets all businesses use it.
        attachment_ids: all its files.

    Raises:
        ValidationFailed: 400.
        NotFound: 404.
        Conflict: 409, another one has the shortcut.
        ShopbellError: any other failure.
    """
    return post(
        f"/api/saved-replies/{path_segment(saved_reply_id)}/update",
        Done,
        shortcut=shortcut,
        title=title,
        text=text,
        businessId=business_id,
        allBusinesses=all_businesses,
        attachmentIds=None if attachment_ids is None else list(attachment_ids),
    )


def delete_saved_reply(saved_reply_id: Id) -> Call[Done]:
    """Delete a saved reply. Messages that were made from it stay.

    Raises:
        NotFound: 404.
        ShopbellError: any other failure.
    """
    return post(f"/api/saved-replies/{path_segment(saved_reply_id)}/delete", Done)
