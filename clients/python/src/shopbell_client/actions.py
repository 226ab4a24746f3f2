"""Change many conversations at once, and undo it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from shopbell_client.call import Call, Id, new_key, post, reader, without_none
from shopbell_client.inbox import View
from shopbell_client.shape import json_field
from shopbell_client.threads import Channel, Status

ActionType = Literal["status", "assign", "snooze", "unsnooze", "tags", "transfer", "read", "unread"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ThreadFilter:
    """All conversations of a list, at most 10,000. The fields are the arguments of ``inbox_threads``."""

    view: View = "needs-reply"
    business_id: Id | None = None
    assignee_user_id: Id | None = None
    tag_id: Id | None = None
    channel: Channel | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class NotChanged:
    """A conversation that was not changed, and why."""

    thread_id: str = json_field("customerThreadId")
    error: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ActionResult:
    """The result of an action.

    Args:
        action_id: for ``undo_action``, within 24 hours.
        changed: how many conversations changed.
        unchanged: how many were already as wanted.
        failed: the first 100 that could not be changed.
        failed_count: how many could not be changed.
        position: of the feed after the last change: entries of the list with a greater position contain it.
    """

    action_id: str
    changed: int
    unchanged: int
    failed: tuple[NotChanged, ...]
    failed_count: int
    position: int


@dataclass(frozen=True, slots=True, kw_only=True)
class UndoResult:
    """The result of an undo.

    Args:
        action_id: the undo itself: undo it to repeat the action.
        reversed: how many conversations are as before.
        skipped: how many have changed since, and stay as they are.
        skipped_threads: the first 100 of these.
        position: as in ``ActionResult``.
    """

    action_id: str
    reversed: int
    skipped: int
    skipped_threads: tuple[NotChanged, ...]
    position: int


def change_threads(
    action: ActionType,
    threads: Sequence[Id] | ThreadFilter,
    *,
    status: Status | None = None,
    assignee_user_id: Id | None = None,
    until_ms: int | None = None,
    keep: bool | None = None,
    business_id: Id | None = None,
    add_tag_ids: Sequence[Id] | None = None,
    remove_tag_ids: Sequence[Id] | None = None,
    employee_user_id: Id | None = None,
    idempotency_key: str | None = None,
) -> Call[ActionResult]:
    """Do the same to up to 10,000 conversations. ``undo_action`` reverses it.

    Args:
        action: what to do. ``read`` and ``unread`` need ``employee_user_id``.
        threads: ids of conversations, or a filter.
        status: for ``status``: the new status.
        assignee_user_id: for ``assign``: the employee. None unassigns the conversations.
        until_ms: for ``snooze``: a time in the future, in Unix milliseconds.
        keep: for ``snooze``: whether a conversation stays hidden if the customer writes.
        business_id: for ``transfer``: the new business.
        add_tag_ids: for ``tags``: tags to add.
        remove_tag_ids: for ``tags``: tags to remove.
        employee_user_id: the employee who acts; None if a program does.
        idempotency_key: see ``send_message_to_business``. A retry continues the same action.

    Raises:
        ValidationFailed: 400, for example if a filter matches more than 10,000 conversations.
        NotFound: 404, one of the ids does not exist. Nothing changes.
        ShopbellError: any other failure.
    """
    described = {
        "type": action,
        "status": status,
        "assigneeUserId": assignee_user_id,
        "until": until_ms,
        "keep": keep,
        "businessId": business_id,
        "addTagIds": None if add_tag_ids is None else list(add_tag_ids),
        "removeTagIds": None if remove_tag_ids is None else list(remove_tag_ids),
    }
    body = {"action": without_none(described), "employeeUserId": employee_user_id, **_these(threads)}
    return Call(
        method="POST",
        path="/api/inbox/bulk",
        parse=reader(ActionResult),
        body=without_none(body),
        idempotency_key=idempotency_key or new_key(),
    )


def undo_action(action_id: Id, *, employee_user_id: Id | None = None) -> Call[UndoResult]:
    """Give the conversations of an action their former states, except those that have changed since.

    Args:
        employee_user_id: the employee who acted; None if a program did.

    Raises:
        NotFound: 404, there is no such action, it is older than 24 hours, or another employee or token did it.
        ShopbellError: any other failure.
    """
    return post("/api/inbox/undo", UndoResult, actionId=action_id, employeeUserId=employee_user_id)


def _these(threads: Sequence[Id] | ThreadFilter) -> dict[str, object]:
    if not isinstance(threads, ThreadFilter):
        return {"customerThreadIds": list(threads)}
    given = {
        "view": threads.view,
        "businessId": threads.business_id,
        "assigneeUserId": threads.assignee_user_id,
        "tagId": threads.tag_id,
        "channel": threads.channel,
    }
    return {"filter": without_none(given)}
