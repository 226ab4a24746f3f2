"""Templates: texts that may be sent when a channel's window is closed."""

import time
from typing import Annotated

from fastapi import APIRouter, Path
from pydantic import Field
from sqlalchemy import Connection

from shopbell import audit, templates, threads
from shopbell.http.api.access import ManagesOrganization, ReadsThreads
from shopbell.http.api.body import Body, described, takes
from shopbell.http.api.fields import ContentSid, Fields, FilledLine, MessageText, PathId
from shopbell.http.api.paging import LIMIT_DEFAULT, Cursor, Limit, cursor_of, place_of
from shopbell.http.api.results import Ok
from shopbell.http.api.threads import ThreadOfQuery
from shopbell.templates import Template

router = APIRouter(tags=["templates"])

TemplateOfPath = Annotated[PathId, Path(alias="templateId", description="The template.", examples=["12352"])]


class CreateTemplate(Fields):
    """A text to be sent later."""

    title: FilledLine = Field(description="What employees choose it by.", examples=["Your order is ready"])
    text: MessageText = Field(description="What customers read.", examples=["Your order is ready to be picked up."])
    content_sid: ContentSid | None = Field(
        None,
        description="What the channel's provider calls it; `HX` and 32 hexadecimal digits are made unless given.",
        examples=["HX3d7f0a4be5c64b0b8ef1d8e5a4c9b1e2"],
    )


class ShownTemplate(Fields):
    """A template."""

    id: str = Field(examples=["12352"])
    title: str = Field(examples=["Your order is ready"])
    text: str = Field(examples=["Your order is ready to be picked up."])
    content_sid: str = Field(
        description="What a message that is made from it is sent with.", examples=["HX3d7f0a4be5c64b0b8ef1d8e5a4c9b1e2"]
    )
    created_at: int = Field(description="In Unix milliseconds.", examples=[1700000000000])


class Templates(Fields):
    """A page of templates, the oldest first."""

    templates: list[ShownTemplate]
    next_cursor: str | None = Field(description="The `cursor` of the next page; `null` on the last.", examples=[None])


class WhatsAppTemplate(Fields):
    """A template, as one that writes in a conversation needs it."""

    title: str = Field(examples=["Your order is ready"])
    text: str = Field(examples=["Your order is ready to be picked up."])
    content_sid: str = Field(examples=["HX3d7f0a4be5c64b0b8ef1d8e5a4c9b1e2"])


class WhatsAppTemplates(Fields):
    """What may be sent in a conversation at any time."""

    templates: list[WhatsAppTemplate]


@router.get("/api/get-whatsapp-templates", summary="List what may be sent in a conversation at any time")
async def get_whatsapp_templates(caller: ReadsThreads, customer_thread_id: ThreadOfQuery) -> WhatsAppTemplates:
    """List the templates that may be sent in a conversation even when its window is closed: all of the organization.

    Send one by its `contentSid`.
    """

    def work(tx: Connection, organization_id: int) -> list[Template]:
        threads.find(tx, organization_id, customer_thread_id)
        return templates.find_all(tx, organization_id)

    found = await caller.read(work)
    shown = [WhatsAppTemplate(title=each.title, text=each.text, content_sid=each.content_sid) for each in found]
    return WhatsAppTemplates(templates=shown)


@router.post("/api/templates", openapi_extra=described(CreateTemplate), summary="Make a template")
async def create_template(
    caller: ManagesOrganization, body: Annotated[Body[CreateTemplate], takes(CreateTemplate)]
) -> ShownTemplate:
    """Make a template. 409 where another one of the organization has that `contentSid`."""

    def work(tx: Connection, organization_id: int, fields: CreateTemplate) -> Template:
        now_ms = time.time_ns() // 1_000_000
        made = templates.create(tx, organization_id, fields.title, fields.text, fields.content_sid, now_ms=now_ms)
        audit.record(tx, organization_id, caller.name, "template.create", f"template {made.id}", now_ms=now_ms)
        return made

    return _shown(await caller.write(work, body.fields))


@router.get("/api/templates", summary="List templates")
async def list_templates(caller: ReadsThreads, cursor: Cursor = None, limit: Limit = LIMIT_DEFAULT) -> Templates:
    """List the organization's templates, the oldest first."""
    place = place_of(cursor, int)
    after_id = 0 if place is None else int(place[0])
    found = await caller.read(templates.find_all, after_id=after_id, limit=limit + 1)
    page = found[:limit]
    next_cursor = cursor_of(page[-1].id) if len(found) > limit else None
    return Templates(templates=[_shown(each) for each in page], next_cursor=next_cursor)


@router.post("/api/templates/{templateId}/delete", summary="Delete a template")
async def delete_template(caller: ManagesOrganization, template_id: TemplateOfPath) -> Ok:
    """Take a template away. What was sent with it stays as it is."""

    def work(tx: Connection, organization_id: int) -> None:
        templates.remove(tx, organization_id, template_id)
        now_ms = time.time_ns() // 1_000_000
        audit.record(tx, organization_id, caller.name, "template.delete", f"template {template_id}", now_ms=now_ms)

    await caller.write(work)
    return Ok()


def _shown(template: Template) -> ShownTemplate:
    return ShownTemplate(
        id=str(template.id),
        title=template.title,
        text=template.text,
        content_sid=template.content_sid,
        created_at=template.created_at_ms,
    )
