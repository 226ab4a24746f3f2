"""Save, suggest and list drafts of messages."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from shopbell_client.attachments import LinkedFile
from shopbell_client.call import Call, Done, Id, Pages, pages, path_segment, post
from shopbell_client.shape import json_field

Mode = Literal["reply", "note"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """The draft of a message.

    Args:
        employee_user_id: whose draft it is; None if a program suggests it to all employees.
        mode: ``reply``, or ``note`` for an internal note.
        attachments: its files.
        by_program: whether a program wrote the text and no employee has changed it.
        updated_at_ms: in Unix milliseconds.
    """

    id: str = json_field("draftId")
    thread_id: str = json_field("customerThreadId")
    employee_user_id: str | None
    mode: str
    text: str = field(repr=False)
    attachments: tuple[LinkedFile, ...]
    by_program: bool
    updated_at_ms: int = json_field("updatedAt")


@dataclass(frozen=True, slots=True, kw_only=True)
class SavedDraft:
    """The result of saving a draft.

    Args:
        id: None if the draft is empty, and so was deleted.
        updated_at_ms: in Unix milliseconds.
    """

    id: str | None = json_field("draftId")
    updated_at_ms: int = json_field("updatedAt")


def save_draft(
    thread_id: Id,
    text: str,
    *,
    mode: Mode = "reply",
    attachment_ids: Sequence[Id] = (),
    employee_user_id: Id | None = None,
) -> Call[SavedDraft]:
    """Save a draft in place of the earlier one in the conversation.

    Args:
        text: at most 10,000 characters. Without text and files, the draft is deleted.
        mode: ``reply``, or ``note`` for an internal note.
        attachment_ids: uploaded files, at most 10.
        employee_user_id: whose draft it is. None suggests the draft to all employees.

    Raises:
        ValidationFailed: 400.
        NotFound: 404.
        Conflict: 409, the customer was erased.
        ShopbellError: any other failure.
    """
    return post(
        "/api/inbox/drafts",
        SavedDraft,
        customerThreadId=thread_id,
        mode=mode,
        text=text,
        attachmentIds=list(attachment_ids),
        employeeUserId=employee_user_id,
    )


def drafts(*, employee_user_id: Id | None = None, page_size: int | None = None) -> Pages[Draft]:
    """List drafts in all conversations, newest first.

    Args:
        employee_user_id: the drafts of this employee. None lists those that programs suggest.
        page_size: drafts per request, 1 to 200. The default is the server's.

    Raises:
        ShopbellError: any failure, raised while iterating.
    """
    return pages("/api/inbox/drafts", "drafts", Draft, employeeUserId=employee_user_id, limit=page_size)


def take_over_draft(draft_id: Id, employee_user_id: Id) -> Call[Draft]:
    """Make a draft that a program suggests an employee's own. Other employees no longer see it.

    Raises:
        NotFound: 404, there is no such draft, or another employee took it over first.
        Conflict: 409, the employee has a draft of their own in the conversation.
        ShopbellError: any other failure.
    """
    return post(f"/api/inbox/drafts/{path_segment(draft_id)}/take-over", Draft, employeeUserId=employee_user_id)


def delete_draft(draft_id: Id, *, employee_user_id: Id | None = None) -> Call[Done]:
    """Delete a draft.

    Args:
        employee_user_id: whose draft it is. None deletes a draft that a program suggests.

    Raises:
        NotFound: 404.
        ShopbellError: any other failure.
    """
    return post(f"/api/inbox/drafts/{path_segment(draft_id)}/delete", Done, employeeUserId=employee_user_id)
