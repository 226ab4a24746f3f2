"""``POST /api/inbox/bulk`` and ``undo``: change many conversations, and undo it."""

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Collection, Mapping
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Response
from pydantic import Field

from shopbell.conversations.threads import Status
from shopbell.errors import FieldError, Invalid
from shopbell.formats.channels import ChannelName
from shopbell.http.inbox.person import ActingAs
from shopbell.http.request.caller import Caller, WritesSomeThreads
from shopbell.http.request.fields import Fields, Id
from shopbell.http.request.ids import MAX_ID
from shopbell.http.request.json_body import Body, body_schema, json_body
from shopbell.inbox import action_kinds, actions, conversation_list
from shopbell.inbox.action_kinds import Kind, Who
from shopbell.inbox.actions import BATCH_THREADS, THREADS_MAX, Done
from shopbell.inbox.conversation_list import Reader, View, Wanted
from shopbell.inbox.tags import THREAD_TAGS_MAX
from shopbell.realtime.signals import Signal
from shopbell.runtime.clock import now_ms

ROUTE = "/api/inbox/bulk"
LISTED_MAX = 100
"""How many unchanged conversations a response lists."""

_REQUIRED = {"status": "status", "snooze": "until", "transfer": "businessId"}
_ABOUT_READING = (action_kinds.Read, action_kinds.Unread)

router = APIRouter(tags=["inbox"])

Type = Literal["status", "assign", "snooze", "unsnooze", "tags", "transfer", "read", "unread"]
TagIds = Annotated[list[Id], Field(max_length=THREAD_TAGS_MAX)]


class InboxAction(Fields):
    """What to do."""

    type: Type = Field(
        description="`read` and `unread` concern only the employee who acts. The other types have the effect of the "
        "routes for one conversation.",
        examples=["status"],
    )
    status: Status | None = Field(None, description="For `status`: the new status.", examples=["resolved"])
    assignee_user_id: Id | None = Field(
        None, description="For `assign`: the employee; absent or `null` to unassign the conversations."
    )
    until: int | None = Field(None, ge=0, le=MAX_ID, description="For `snooze`: a time in the future, in Unix ms.")
    keep: bool = Field(
        default=False, description="For `snooze`: whether it stays hidden if the customer writes.", examples=[False]
    )
    business_id: Id | None = Field(None, description="For `transfer`: the new business.")
    add_tag_ids: TagIds = Field(default_factory=list, description="For `tags`: tags to add.")
    remove_tag_ids: TagIds = Field(default_factory=list, description="For `tags`: tags to remove.")


class ThreadFilter(Fields):
    """The filters of `GET /api/inbox/threads`."""

    view: View = Field("needs-reply", description="The view.", examples=["needs-reply"])
    business_id: Id | None = Field(None, description="Only conversations with this business.")
    assignee_user_id: Id | None = Field(None, description="Only conversations assigned to this employee.")
    tag_id: Id | None = Field(None, description="Only conversations with this tag.")
    channel: ChannelName | None = Field(None, description="Only conversations on this channel.")


class BulkRequest(ActingAs):
    """What to do to which conversations."""

    action: InboxAction = Field(
        description="What to do to each of them.", examples=[{"type": "status", "status": "resolved"}]
    )
    customer_thread_ids: Annotated[list[Id], Field(min_length=1, max_length=THREADS_MAX)] = Field(
        default_factory=list, description="The conversations, at most 10,000.", examples=[["12347"]]
    )
    filter: ThreadFilter | None = Field(
        None, description="Instead of `customerThreadIds`: all conversations of a list, at most 10,000."
    )

    @classmethod
    def check_together(cls, sent: Mapping[str, object]) -> list[FieldError]:
        """Require the fields of the type, and one way to name the conversations."""
        errors = []
        action = sent.get("action")
        if isinstance(action, dict) and isinstance(action.get("type"), str):
            name = _REQUIRED.get(action["type"])
            if name is not None and action.get(name) is None:
                errors.append(FieldError(f"action/{name}", "required", "is required"))
        if len({"customer_thread_ids", "filter"} & {*sent}) != 1:
            rule = "must contain exactly one of customerThreadIds and filter"
            errors.append(FieldError("", "exactly_one_required", rule))
        return errors


class UndoRequest(ActingAs):
    """What to undo."""

    action_id: Id = Field(description="The action.", examples=["12361"])


class NotChanged(Fields):
    """A conversation that was not changed."""

    customer_thread_id: str = Field(examples=["12347"])
    error: str = Field(examples=["The customer already has a conversation with that business."])


POSITION = "The position of the feed after the last change: entries of the list with a greater position contain it."


class BulkDone(Fields):
    """The result of an action."""

    action_id: str = Field(description="For `POST /api/inbox/undo`, within 24 hours.", examples=["12361"])
    changed: int = Field(examples=[1])
    unchanged: int = Field(description="How many conversations were already in the requested state.", examples=[0])
    failed: list[NotChanged] = Field(description=f"The first {LISTED_MAX} that could not be changed, and why.")
    failed_count: int = Field(examples=[0])
    position: int = Field(description=POSITION, examples=[4711])


class Undone(Fields):
    """The result of an undo."""

    action_id: str = Field(
        description="The action that undid it. Undo this one to repeat the first one.", examples=["12362"]
    )
    reversed: int = Field(description="How many conversations are back in their former state.", examples=[1])
    skipped: int = Field(description="How many conversations have changed since, and stay as they are.", examples=[0])
    skipped_threads: list[NotChanged] = Field(description=f"The first {LISTED_MAX} of them, and why.")
    position: int = Field(description=POSITION, examples=[4712])


class _Total:
    """The sum of the results of all transactions."""

    def __init__(self) -> None:
        self.changed = self.unchanged = self.refused = self.position = 0
        self.listed: list[NotChanged] = []

    def add(self, done: Done) -> None:
        self.changed += len(done.changed)
        self.unchanged += done.unchanged
        self.refused += len(done.refused)
        self.position = max(self.position, done.position)
        room = LISTED_MAX - len(self.listed)
        self.listed += [
            NotChanged(customer_thread_id=str(id_), error=error.detail)
            for id_, error in list(done.refused.items())[:room]
        ]


@router.post(ROUTE, openapi_extra=body_schema(BulkRequest, idempotent=True), summary="Change many conversations")
async def change_conversations(
    caller: WritesSomeThreads, body: Annotated[Body[BulkRequest], json_body(BulkRequest)], response: Response
) -> BulkDone:
    """Apply an action to conversations, at most 10,000.

    They are changed in transactions of at most 100. Each change is recorded as an event, as if it were made alone. If
    one conversation cannot be changed, it is reported, and the others are changed. The action can be undone for 24
    hours. If no response arrives, repeat the request with the same `Idempotency-Key`: it continues the same action.
    """
    fields = body.fields
    who = _who(caller, fields.employee_user_id)
    thread_ids = fields.customer_thread_ids
    if fields.filter is not None:
        thread_ids = await _of_filter(caller, who, fields.filter)
    key = None
    if body.idempotency_key is not None:
        key = (caller.organization_id, caller.id, ROUTE, body.idempotency_key)
    kind = _kind(fields.action)
    action, is_continued = await caller.write(actions.begin, kind, thread_ids, who, key, body.hash())
    total, ids = _Total(), sorted(set(thread_ids))
    while ids:
        batch = ids[:BATCH_THREADS]
        if fields.filter is not None:  # requests of others are served during an action on thousands
            batch = sorted(await _of_filter(caller, who, fields.filter, among=batch))
        if not batch:
            ids = ids[BATCH_THREADS:]
            continue
        done = await caller.write(actions.do, action, batch, who)
        ids = ids[bisect_right(ids, done.last_id or batch[-1]) :]
        total.add(done)
        _tell(caller, kind, who, done)
    if is_continued:
        response.headers["Idempotent-Replayed"] = "true"
    return BulkDone(
        action_id=str(action.id),
        changed=total.changed,
        unchanged=total.unchanged,
        failed=total.listed,
        failed_count=total.refused,
        position=total.position,
    )


@router.post("/api/inbox/undo", openapi_extra=body_schema(UndoRequest), summary="Undo an action")
async def undo_action(caller: WritesSomeThreads, body: Annotated[Body[UndoRequest], json_body(UndoRequest)]) -> Undone:
    """Restore the former state of conversations that have not changed since.

    Only the employee or token that did the action can undo it, for 24 hours. Each change is recorded as an event.
    Repeat the request if no response arrives.
    """
    who = _who(caller, body.fields.employee_user_id)
    action, reversal = await caller.write(actions.begin_undo, body.fields.action_id, who)
    total, after_id = _Total(), 0
    while True:
        done = await caller.write(actions.undo, action, reversal, after_id, who)
        total.add(done)
        if done.last_id is None:
            break
        after_id = done.last_id
        _tell(caller, action.kind, who, done)
    return Undone(
        action_id=str(reversal.id),
        reversed=total.changed,
        skipped=total.refused,
        skipped_threads=total.listed,
        position=total.position,
    )


def _who(caller: Caller, employee_id: int | None) -> Who:
    return Who(caller.id, caller.acting(employee_id), caller.businesses, now_ms())


async def _of_filter(caller: Caller, who: Who, given: ThreadFilter, among: Collection[int] | None = None) -> list[int]:
    """The conversations of a list, or those of ``among`` that are still in it.

    Raises:
        Invalid: 400; they are too many.
    """
    wanted = Wanted(given.view, given.business_id, given.assignee_user_id, given.tag_id, given.channel)
    reader = Reader(who.employee_id, caller.businesses)
    found = await caller.read(conversation_list.find_ids, reader, wanted, among=among, limit=THREADS_MAX + 1)
    if len(found) > THREADS_MAX:
        raise Invalid([FieldError("filter", "invalid_value", f"must match at most {THREADS_MAX} conversations")])
    return found


def _kind(action: InboxAction) -> Kind:
    """The kind of an action. ``check_together`` has checked the fields of its type."""
    fields: dict[Type, tuple[Any, ...]] = {
        "status": (action.status,),
        "assign": (action.assignee_user_id,),
        "snooze": (action.until, action.keep),
        "transfer": (action.business_id,),
        "tags": (action.add_tag_ids, action.remove_tag_ids),
    }
    return action_kinds.KINDS[action.type](*fields.get(action.type, ()))


def _tell(caller: Caller, kind: Kind, who: Who, done: Done) -> None:
    """Tell the employee's devices what they have read. Other changes have events."""
    if not isinstance(kind, _ABOUT_READING):
        return
    of_business = defaultdict(list)
    for thread_id in done.changed:
        if thread_id in done.business_of:
            of_business[done.business_of[thread_id]].append(str(thread_id))
    for business_id, ids in of_business.items():
        data = {"customerThreadIds": ids, "employeeUserId": str(who.employee_id)}
        caller.services.pubsub.signal(Signal(caller.organization_id, 0, business_id, "inbox", data))
