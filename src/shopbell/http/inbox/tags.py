"""List, create, change and delete tags, and set them on conversations."""

import re
from typing import Annotated

from fastapi import APIRouter, Path
from pydantic import AfterValidator, Field, StringConstraints

from shopbell.http.request.caller import ManagesInbox, ReadsSomeThreads, WritesSomeThreads
from shopbell.http.request.fields import Fields, FilledLine, Id, PathId, field_error
from shopbell.http.request.json_body import Body, body_schema, json_body
from shopbell.http.request.paging import LIMIT_DEFAULT, Cursor, Limit, cursor_of, place_of
from shopbell.http.request.results import Ok
from shopbell.inbox import tags
from shopbell.inbox.tags import NAME_MAX_CHARACTERS, THREAD_TAGS_MAX, Tag
from shopbell.runtime.clock import now_ms

router = APIRouter(tags=["inbox"])

TagOfPath = Annotated[PathId, Path(alias="tagId", description="The tag.", examples=["12354"])]
TagName = Annotated[FilledLine, StringConstraints(max_length=NAME_MAX_CHARACTERS)]
TagIds = Annotated[list[Id], Field(max_length=THREAD_TAGS_MAX)]


def _color(text: str) -> str:
    if not re.fullmatch("#[0-9A-Fa-f]{6}", text):
        raise field_error("invalid_format", "must be a color such as #8f4f00")
    return text.lower()


def _color_or_nothing(text: str) -> str:
    return text and _color(text)


Color = Annotated[str, AfterValidator(_color)]
ColorOrNothing = Annotated[str, AfterValidator(_color_or_nothing)]


class CreateTag(Fields):
    """A new tag."""

    name: TagName = Field(
        description="At most 50 characters, unique in the organization apart from case and accents.",
        examples=["Repair"],
    )
    color: Color | None = Field(None, description="`#rrggbb`.", examples=["#8f4f00"])


class UpdateTag(Fields):
    """The fields of a tag to change."""

    name: TagName | None = Field(None, description="The new name.", examples=["Repairs"])
    color: ColorOrNothing | None = Field(
        None, description="`#rrggbb`. An empty string removes it.", examples=["#8f4f00"]
    )


class SetTags(Fields):
    """The tags to add to a conversation and to remove from it."""

    customer_thread_id: Id = Field(description="The conversation.", examples=["12347"])
    add_tag_ids: TagIds = Field(default_factory=list, description="Tags to add.", examples=[["12354"]])
    remove_tag_ids: TagIds = Field(default_factory=list, description="Tags to remove.")
    employee_user_id: Id | None = Field(None, description="The employee who does it. Absent if a program does.")


class TagOut(Fields):
    """A tag."""

    tag_id: str = Field(examples=["12354"])
    name: str = Field(examples=["Repair"])
    color: str | None = Field(examples=["#8f4f00"])
    created_at: int = Field(description="In Unix milliseconds.", examples=[1700000000000])


class Tags(Fields):
    """A page of tags, the oldest first."""

    tags: list[TagOut]
    next_cursor: str | None = Field(description="The `cursor` of the next page; `null` on the last.", examples=[None])


@router.get("/api/tags", summary="List tags")
async def list_tags(caller: ReadsSomeThreads, cursor: Cursor = None, limit: Limit = LIMIT_DEFAULT) -> Tags:
    """List the tags of the organization, the oldest first."""
    place = place_of(cursor, int)
    after_id = 0 if place is None else int(place[0])
    found = await caller.read(tags.find_all, after_id=after_id, limit=limit + 1)
    page = found[:limit]
    next_cursor = cursor_of(page[-1].id) if len(found) > limit else None
    return Tags(tags=[_shown(each) for each in page], next_cursor=next_cursor)


@router.post("/api/tags", openapi_extra=body_schema(CreateTag), summary="Create a tag")
async def create_tag(caller: ManagesInbox, body: Annotated[Body[CreateTag], json_body(CreateTag)]) -> TagOut:
    """Create a tag. 409 if the name is taken, or if the organization has 500 tags."""
    name, color = body.fields.name, body.fields.color
    return _shown(await caller.write(tags.create, name, color, actor=caller.name, now_ms=now_ms()))


@router.post("/api/tags/{tagId}/update", openapi_extra=body_schema(UpdateTag), summary="Change a tag")
async def update_tag(
    caller: ManagesInbox, tag_id: TagOfPath, body: Annotated[Body[UpdateTag], json_body(UpdateTag)]
) -> Ok:
    """Change the given fields of a tag. 409 if another one has the name."""
    changes = {name: value or None for name, value in body.fields.given().items()}
    await caller.write(tags.change, tag_id, changes, actor=caller.name, now_ms=now_ms())
    return Ok()


@router.post("/api/tags/{tagId}/delete", summary="Delete a tag")
async def delete_tag(caller: ManagesInbox, tag_id: TagOfPath) -> Ok:
    """Delete a tag, and remove it from all conversations."""
    while not await caller.write(tags.remove, tag_id, actor=caller.name, now_ms=now_ms()):
        pass
    return Ok()


@router.post("/api/tags/set-on-thread", openapi_extra=body_schema(SetTags), summary="Set tags on a conversation")
async def set_tags_on_thread(caller: WritesSomeThreads, body: Annotated[Body[SetTags], json_body(SetTags)]) -> Ok:
    """Add tags to a conversation, and remove others from it.

    Tags to add that it already has, and tags to remove that it does not have, are ignored. 409 if it would have more
    than 50 tags.
    """
    fields = body.fields
    await caller.check_thread(fields.customer_thread_id)
    await caller.write(
        tags.set_on_thread,
        fields.customer_thread_id,
        fields.add_tag_ids,
        fields.remove_tag_ids,
        actor=caller.actor(fields.employee_user_id),
        now_ms=now_ms(),
    )
    return Ok()


def _shown(tag: Tag) -> TagOut:
    return TagOut(tag_id=str(tag.id), name=tag.name, color=tag.color, created_at=tag.created_at_ms)
