"""Drafts of employees, and drafts that programs suggest."""

from collections.abc import Mapping
from typing import Annotated

from fastapi import APIRouter, Path, Request
from pydantic import AfterValidator, Field, StringConstraints
from sqlalchemy import Connection

from shopbell.attachments.attachments import Attachment
from shopbell.conversations import threads
from shopbell.conversations.message_text import MESSAGE_MAX_CHARACTERS
from shopbell.http.api.attachments import LinkedAttachment
from shopbell.http.inbox.files import AttachmentIds, check_files, link_files, read_files
from shopbell.http.inbox.person import ActingAs, ActingEmployee, person
from shopbell.http.request.caller import Caller, ReadsSomeThreads, WritesSomeThreads
from shopbell.http.request.fields import Fields, Id, PathId, field_error
from shopbell.http.request.json_body import Body, body_schema, json_body
from shopbell.http.request.paging import LIMIT_DEFAULT, Cursor, Limit, cursor_of, place_of
from shopbell.http.request.results import Ok
from shopbell.inbox import drafts
from shopbell.inbox.drafts import Draft, Mode
from shopbell.realtime.signals import Signal
from shopbell.runtime.clock import now_ms

router = APIRouter(tags=["inbox"])

DraftOfPath = Annotated[PathId, Path(alias="draftId", description="The draft.", examples=["12353"])]


def _without_nul(text: str) -> str:
    if "\0" in text:
        raise field_error("invalid_character", "must not contain U+0000")
    return text


DraftText = Annotated[str, StringConstraints(max_length=MESSAGE_MAX_CHARACTERS), AfterValidator(_without_nul)]
"""A text that may be empty."""


class SaveDraft(Fields):
    """The draft of a message."""

    customer_thread_id: Id = Field(description="The conversation.", examples=["12347"])
    mode: Mode = Field(
        description="`reply`: a message to the customer. `note`: a note that only employees see.", examples=["reply"]
    )
    text: DraftText = Field(
        description="The text, at most 10,000 characters. Without text and files, the draft is deleted.",
        examples=["Dear Carol, the bell is ready."],
    )
    attachment_ids: AttachmentIds = Field(
        default_factory=list, description="Uploaded files, at most 10. They are kept as long as the draft."
    )
    employee_user_id: Id | None = Field(
        None,
        description="The employee whose draft it is. Without one, a token suggests the draft to all employees.",
        examples=["12351"],
    )


class DraftSaved(Fields):
    """The draft is stored, or deleted."""

    draft_id: str | None = Field(description="`null` if there is no draft now.", examples=["12353"])
    updated_at: int = Field(description="In Unix milliseconds.", examples=[1700000000000])


class DraftOut(Fields):
    """A draft."""

    draft_id: str = Field(examples=["12353"])
    customer_thread_id: str = Field(examples=["12347"])
    employee_user_id: str | None = Field(
        description="Whose draft it is; `null` if a program suggests it to all employees.", examples=["12351"]
    )
    mode: Mode = Field(examples=["reply"])
    text: str = Field(examples=["Dear Carol, the bell is ready."])
    attachments: list[LinkedAttachment] = Field(description="Its files.", examples=[[]])
    updated_at: int = Field(description="In Unix milliseconds.", examples=[1700000000000])
    by_program: bool = Field(
        description="Whether a program wrote the text, and no employee has changed it.", examples=[False]
    )


class Drafts(Fields):
    """A page of drafts, the newest first."""

    drafts: list[DraftOut]
    next_cursor: str | None = Field(description="The `cursor` of the next page; `null` on the last.", examples=[None])


@router.post("/api/inbox/drafts", openapi_extra=body_schema(SaveDraft), summary="Save a draft")
async def save_draft(caller: WritesSomeThreads, body: Annotated[Body[SaveDraft], json_body(SaveDraft)]) -> DraftSaved:
    """Store a draft, and replace the earlier one.

    An employee has one draft of a reply and one of a note in each conversation. A token that names no employee suggests
    a draft. Employees see it in the conversation, and one of them can take it over, change it and send it. 409 if the
    customer was erased.
    """
    fields, at_ms = body.fields, now_ms()
    employee_id = caller.acting(fields.employee_user_id)
    await caller.check_thread(fields.customer_thread_id)
    await check_files(caller, fields.attachment_ids)

    def work(tx: Connection, organization_id: int) -> tuple[Draft | None, int]:
        saved = drafts.save(
            tx,
            organization_id,
            fields.customer_thread_id,
            fields.mode,
            fields.text,
            fields.attachment_ids,
            employee_id=employee_id,
            now_ms=at_ms,
        )
        return saved, _business_of(tx, organization_id, fields.customer_thread_id)

    saved, business_id = await caller.write(work)
    _signal(caller, fields.customer_thread_id, business_id, fields.mode, employee_id)
    return DraftSaved(draft_id=None if saved is None else str(saved.id), updated_at=at_ms)


@router.get("/api/inbox/drafts", summary="List drafts")
async def list_drafts(
    caller: ReadsSomeThreads,
    request: Request,
    employee_user_id: ActingEmployee = None,
    cursor: Cursor = None,
    limit: Limit = LIMIT_DEFAULT,
) -> Drafts:
    """List the drafts of an employee in all conversations, the newest first.

    A token that names no employee gets the drafts that programs suggest.
    """
    employee_id, place = caller.acting(employee_user_id), place_of(cursor, int)
    before_id = None if place is None else int(place[0])

    def look(tx: Connection, organization_id: int) -> tuple[list[Draft], dict[int, Attachment]]:
        found = drafts.find_page(
            tx, organization_id, employee_id, businesses=caller.businesses, before_id=before_id, limit=limit + 1
        )
        return found, read_files(tx, organization_id, found)

    found, files = await caller.read(look)
    page = found[:limit]
    next_cursor = cursor_of(page[-1].id) if len(found) > limit else None
    return Drafts(drafts=[draft_out(request, caller, each, files) for each in page], next_cursor=next_cursor)


@router.post("/api/inbox/drafts/{draftId}/take-over", openapi_extra=body_schema(ActingAs), summary="Take over a draft")
async def take_over_draft(
    caller: WritesSomeThreads,
    request: Request,
    draft_id: DraftOfPath,
    body: Annotated[Body[ActingAs], json_body(ActingAs)],
) -> DraftOut:
    """Take over a draft that a program suggests.

    Other employees no longer see it.

    404 if another employee was faster. 409 if the employee already has a draft there.
    """
    employee_id = person(caller, body.fields.employee_user_id)
    await _check(caller, draft_id)

    def work(tx: Connection, organization_id: int) -> tuple[Draft, dict[int, Attachment], int]:
        taken = drafts.take_over(tx, organization_id, draft_id, employee_id, now_ms=now_ms())
        return (
            taken,
            read_files(tx, organization_id, [taken]),
            _business_of(tx, organization_id, taken.thread_id),
        )

    taken, files, business_id = await caller.write(work)
    for each in (None, employee_id):
        _signal(caller, taken.thread_id, business_id, taken.mode, each)
    return draft_out(request, caller, taken, files)


@router.post("/api/inbox/drafts/{draftId}/delete", openapi_extra=body_schema(ActingAs), summary="Delete a draft")
async def delete_draft(
    caller: WritesSomeThreads, draft_id: DraftOfPath, body: Annotated[Body[ActingAs], json_body(ActingAs)]
) -> Ok:
    """Delete a draft of the employee, or one that a program suggests."""
    employee_id = caller.acting(body.fields.employee_user_id)
    await _check(caller, draft_id)

    def work(tx: Connection, organization_id: int) -> tuple[Draft, int]:
        draft = drafts.discard(tx, organization_id, draft_id, employee_id=employee_id)
        return draft, _business_of(tx, organization_id, draft.thread_id)

    draft, business_id = await caller.write(work)
    _signal(caller, draft.thread_id, business_id, draft.mode, draft.employee_id)
    return Ok()


def draft_out(request: Request, caller: Caller, draft: Draft, files: Mapping[int, Attachment]) -> DraftOut:
    """Return a draft as clients see it.

    Args:
        files: from ``read_files``.
    """
    return DraftOut(
        draft_id=str(draft.id),
        customer_thread_id=str(draft.thread_id),
        employee_user_id=None if draft.employee_id is None else str(draft.employee_id),
        mode=draft.mode,
        text=draft.body,
        attachments=link_files(request, caller, files, draft.attachment_ids),
        updated_at=draft.updated_at_ms,
        by_program=draft.by_program,
    )


async def _check(caller: Caller, draft_id: int) -> None:
    """Check that a draft is in a conversation that the caller sees."""
    if caller.businesses is not None:
        draft = await caller.read(drafts.find, draft_id)
        await caller.check_thread(draft.thread_id, "draftId")


def _business_of(tx: Connection, organization_id: int, thread_id: int) -> int:
    return threads.find(tx, organization_id, thread_id).thread.business_id


def _signal(caller: Caller, thread_id: int, business_id: int, mode: Mode, employee_id: int | None) -> None:
    """Tell employees that a draft changed, so that their other devices read it again."""
    data = {"mode": mode, "employeeUserId": None if employee_id is None else str(employee_id)}
    caller.services.pubsub.signal(Signal(caller.organization_id, thread_id, business_id, "draft", data))
