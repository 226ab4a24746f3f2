"""List, create, change and delete saved replies."""

from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request
from pydantic import AfterValidator, Field
from sqlalchemy import Connection

from shopbell.attachments.attachments import Attachment
from shopbell.errors import FieldError
from shopbell.http.api.attachments import LinkedAttachment
from shopbell.http.inbox.files import AttachmentIds, check_files, link_files, read_files
from shopbell.http.request.caller import Caller, ManagesSomeInbox, ReadsSomeThreads
from shopbell.http.request.fields import MUST_EXIST, Fields, FilledLine, Id, MessageText, PathId, field_error
from shopbell.http.request.json_body import Body, body_schema, json_body
from shopbell.http.request.paging import LIMIT_DEFAULT, Cursor, Limit, cursor_of, place_of
from shopbell.http.request.results import Ok
from shopbell.inbox import saved_replies
from shopbell.inbox.saved_replies import VARIABLES, SavedReply
from shopbell.runtime.clock import now_ms

router = APIRouter(tags=["inbox"])

SavedReplyOfPath = Annotated[PathId, Path(alias="savedReplyId", description="The saved reply.", examples=["12355"])]
_VARIABLES = ", ".join(f"{{{{{name}}}}}" for name in VARIABLES)


def _shortcut(text: str) -> str:
    try:
        return saved_replies.check_shortcut(text)
    except ValueError as error:
        raise field_error("invalid_format", str(error)) from None


def _with_known_variables(text: str) -> str:
    if saved_replies.has_unknown_variables(text):
        allowed = [f"{{{{{name}}}}}" for name in VARIABLES]
        detail = f"must not contain double braces, except those of {_VARIABLES}"
        raise field_error("invalid_value", detail, allowed=allowed)
    return text


Shortcut = Annotated[str, AfterValidator(_shortcut)]
ReplyText = Annotated[MessageText, AfterValidator(_with_known_variables)]


class CreateSavedReply(Fields):
    """A new saved reply."""

    shortcut: Shortcut = Field(
        description="What employees type to insert it: at most 32 letters, digits, `-` and `_`, stored in lower case. "
        "It must be unique for its business, or among those for all businesses.",
        examples=["repair"],
    )
    title: FilledLine = Field(description="Its name for employees.", examples=["How long a repair takes"])
    text: ReplyText = Field(
        description=f"The text, at most 10,000 characters. The inbox replaces {_VARIABLES}.",
        examples=["Dear {{first_name}}, a repair takes five days."],
    )
    business_id: Id | None = Field(
        None, description="The only business that uses it. Default: all businesses.", examples=["12345"]
    )
    attachment_ids: AttachmentIds = Field(
        default_factory=list, description="Uploaded files, at most 10. They are kept as long as the saved reply."
    )


class UpdateSavedReply(Fields):
    """The fields of a saved reply to change."""

    shortcut: Shortcut | None = Field(None, description="What employees type to insert it.", examples=["repairs"])
    title: FilledLine | None = Field(None, description="Its name for employees.", examples=["Repairs"])
    text: ReplyText | None = Field(
        None, description="The text, with variables.", examples=["Dear {{first_name}}, a repair takes a week."]
    )
    business_id: Id | None = Field(None, description="The only business that uses it.", examples=["12345"])
    all_businesses: bool | None = Field(None, description="`true`, instead of `businessId`: all businesses use it.")
    attachment_ids: AttachmentIds | None = Field(None, description="All its files.")

    @classmethod
    def check_together(cls, sent: Mapping[str, object]) -> list[FieldError]:
        """Accept one business, or all."""
        if "business_id" in sent and sent.get("all_businesses") is True:
            return [FieldError("allBusinesses", "invalid_value", "must not be true with businessId")]
        return []


class SavedReplyOut(Fields):
    """A saved reply."""

    saved_reply_id: str = Field(examples=["12355"])
    shortcut: str = Field(examples=["repair"])
    title: str = Field(examples=["How long a repair takes"])
    text: str = Field(examples=["Dear {{first_name}}, a repair takes five days."])
    business_id: str | None = Field(
        description="The only business that uses it; `null` for all businesses.", examples=["12345"]
    )
    attachments: list[LinkedAttachment] = Field(description="Its files.", examples=[[]])
    updated_at: int = Field(description="In Unix milliseconds.", examples=[1700000000000])


class SavedReplies(Fields):
    """A page of saved replies, the oldest first."""

    saved_replies: list[SavedReplyOut]
    variables: list[str] = Field(
        description="The names that texts may contain in double braces.", examples=[list(VARIABLES)]
    )
    next_cursor: str | None = Field(description="The `cursor` of the next page; `null` on the last.", examples=[None])


@router.get("/api/saved-replies", summary="List saved replies")
async def list_saved_replies(
    caller: ReadsSomeThreads,
    request: Request,
    business_id: Annotated[
        Id | None,
        Query(
            alias="businessId",
            description="Only those that this business uses, with those for all businesses.",
            json_schema_extra=MUST_EXIST,
        ),
    ] = None,
    cursor: Cursor = None,
    limit: Limit = LIMIT_DEFAULT,
) -> SavedReplies:
    """List saved replies for the caller's businesses or for all, the oldest first."""
    if business_id is not None:
        caller.check_business(business_id)
    place = place_of(cursor, int)
    after_id = 0 if place is None else int(place[0])

    def look(tx: Connection, organization_id: int) -> tuple[list[SavedReply], dict[int, Attachment]]:
        found = saved_replies.find_page(
            tx,
            organization_id,
            business_id=business_id,
            businesses=caller.businesses,
            after_id=after_id,
            limit=limit + 1,
        )
        return found, read_files(tx, organization_id, found)

    found, files = await caller.read(look)
    page = found[:limit]
    return SavedReplies(
        saved_replies=[_shown(request, caller, each, files) for each in page],
        variables=list(VARIABLES),
        next_cursor=cursor_of(page[-1].id) if len(found) > limit else None,
    )


@router.post("/api/saved-replies", openapi_extra=body_schema(CreateSavedReply), summary="Create a saved reply")
async def create_saved_reply(
    caller: ManagesSomeInbox, request: Request, body: Annotated[Body[CreateSavedReply], json_body(CreateSavedReply)]
) -> SavedReplyOut:
    """Create a saved reply.

    409 if another one has the shortcut, or if the organization has 2,000 saved replies.
    """
    fields = {"business_id": None} | _fields(body.fields)
    await _check_fields(caller, fields)

    def work(tx: Connection, organization_id: int) -> tuple[SavedReply, dict[int, Attachment]]:
        made = saved_replies.create(tx, organization_id, fields, actor=caller.name, now_ms=now_ms())
        return made, read_files(tx, organization_id, [made])

    made, files = await caller.write(work)
    return _shown(request, caller, made, files)


@router.post(
    "/api/saved-replies/{savedReplyId}/update",
    openapi_extra=body_schema(UpdateSavedReply),
    summary="Change a saved reply",
)
async def update_saved_reply(
    caller: ManagesSomeInbox,
    saved_reply_id: SavedReplyOfPath,
    body: Annotated[Body[UpdateSavedReply], json_body(UpdateSavedReply)],
) -> Ok:
    """Change the given fields of a saved reply. 409 if another one has the shortcut."""
    changes = _fields(body.fields)
    await _check_present(caller, saved_reply_id)
    await _check_fields(caller, changes)
    await caller.write(saved_replies.change, saved_reply_id, changes, actor=caller.name, now_ms=now_ms())
    return Ok()


@router.post("/api/saved-replies/{savedReplyId}/delete", summary="Delete a saved reply")
async def delete_saved_reply(caller: ManagesSomeInbox, saved_reply_id: SavedReplyOfPath) -> Ok:
    """Delete a saved reply. Messages that were made from it stay as they are."""
    await _check_present(caller, saved_reply_id)
    await caller.write(saved_replies.remove, saved_reply_id, actor=caller.name, now_ms=now_ms())
    return Ok()


def _fields(given: CreateSavedReply | UpdateSavedReply) -> dict[str, Any]:
    """Return the fields that were sent, by the names of the domain."""
    sent = given.given()
    if "text" in sent:
        sent["body"] = sent.pop("text")
    if "attachment_ids" in sent:
        sent["attachment_ids"] = tuple(sent["attachment_ids"])
    if sent.pop("all_businesses", False):
        sent["business_id"] = None
    return sent


async def _check_present(caller: Caller, saved_reply_id: int) -> None:
    """Check that a saved reply belongs to one of the caller's businesses."""
    if caller.businesses is not None:
        present = await caller.read(saved_replies.find, saved_reply_id)
        _check_business(caller, present.business_id, "savedReplyId")


async def _check_fields(caller: Caller, fields: Mapping[str, Any]) -> None:
    """Check that the caller may use a business and files."""
    if "business_id" in fields:
        _check_business(caller, fields["business_id"], "businessId")
    await check_files(caller, fields.get("attachment_ids", ()))


def _check_business(caller: Caller, business_id: int | None, field: str) -> None:
    if business_id is not None:
        caller.check_business(business_id, field)
    elif caller.businesses is not None:  # only a caller for all businesses may change those for all
        raise caller.lacks("inbox:manage")


def _shown(request: Request, caller: Caller, reply: SavedReply, files: dict[int, Attachment]) -> SavedReplyOut:
    return SavedReplyOut(
        saved_reply_id=str(reply.id),
        shortcut=reply.shortcut,
        title=reply.title,
        text=reply.body,
        business_id=None if reply.business_id is None else str(reply.business_id),
        attachments=link_files(request, caller, files, reply.attachment_ids),
        updated_at=reply.updated_at_ms,
    )
