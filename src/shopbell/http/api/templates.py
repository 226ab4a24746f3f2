"""Templates: texts that may be sent when a channel's window is closed."""

from typing import Annotated

from fastapi import APIRouter, Path
from pydantic import Field
from sqlalchemy import Connection

from shopbell.conversations import templates, threads
from shopbell.conversations.templates import Template
from shopbell.http.api.threads import ThreadOfQuery
from shopbell.http.request.caller import ManagesOrganization, ReadsSomeThreads
from shopbell.http.request.fields import ContentSid, Fields, FilledLine, MessageText, PathId
from shopbell.http.request.json_body import Body, body_schema, json_body
from shopbell.http.request.paging import LIMIT_DEFAULT, Cursor, Limit, cursor_of, place_of
from shopbell.http.request.results import Ok
from shopbell.runtime.clock import now_ms

router = APIRouter(tags=["templates"])

TemplateOfPath = Annotated[PathId, Path(alias="templateId", description="The template.", examples=["12352"])]


class CreateTemplate(Fields):
    """A new template."""

    title: FilledLine = Field(description="Its name for employees.", examples=["Your order is ready"])
    text: MessageText = Field(description="The text for customers.", examples=["Your order is ready to be picked up."])
    content_sid: ContentSid | None = Field(
        None,
        description="Its id at the provider of the channel. Default: `HX` and 32 random hexadecimal digits.",
        examples=["HX3d7f0a4be5c64b0b8ef1d8e5a4c9b1e2"],
    )


class TemplateOut(Fields):
    """A template."""

    id: str = Field(examples=["12352"])
    title: str = Field(examples=["Your order is ready"])
    text: str = Field(examples=["Your order is ready to be picked up."])
    content_sid: str = Field(description="The id to send it with.", examples=["HX3d7f0a4be5c64b0b8ef1d8e5a4c9b1e2"])
    created_at: int = Field(description="In Unix milliseconds.", examples=[1700000000000])


class Templates(Fields):
    """A page of templates, the oldest first."""

    templates: list[TemplateOut]
    next_cursor: str | None = Field(description="The `cursor` of the next page; `null` on the last.", examples=[None])


class WhatsAppTemplate(Fields):
    """A template, as needed to send it."""

    title: str = Field(examples=["Your order is ready"])
    text: str = Field(examples=["Your order is ready to be picked up."])
    content_sid: str = Field(examples=["HX3d7f0a4be5c64b0b8ef1d8e5a4c9b1e2"])


class WhatsAppTemplates(Fields):
    """The templates that may be sent at any time."""

    templates: list[WhatsAppTemplate]


@router.get("/api/get-whatsapp-templates", summary="List the templates that may be sent at any time")
async def get_whatsapp_templates(caller: ReadsSomeThreads, customer_thread_id: ThreadOfQuery) -> WhatsAppTemplates:
    """List the templates that may be sent in a conversation even if its messaging window is closed. Send one by its
    `contentSid`.
    """

    def work(tx: Connection, organization_id: int) -> list[Template]:
        threads.find(tx, organization_id, customer_thread_id)
        return templates.find_all(tx, organization_id)

    await caller.check_thread(customer_thread_id)
    found = await caller.read(work)
    shown = [WhatsAppTemplate(title=each.title, text=each.text, content_sid=each.content_sid) for each in found]
    return WhatsAppTemplates(templates=shown)


@router.post("/api/templates", openapi_extra=body_schema(CreateTemplate), summary="Create a template")
async def create_template(
    caller: ManagesOrganization, body: Annotated[Body[CreateTemplate], json_body(CreateTemplate)]
) -> TemplateOut:
    """Create a template. 409 if another template of the organization has the `contentSid`."""
    title, text, sid = body.fields.title, body.fields.text, body.fields.content_sid
    return _shown(await caller.write(templates.create, title, text, sid, actor=caller.name, now_ms=now_ms()))


@router.get("/api/templates", summary="List templates")
async def list_templates(caller: ReadsSomeThreads, cursor: Cursor = None, limit: Limit = LIMIT_DEFAULT) -> Templates:
    """List the organization's templates, the oldest first."""
    place = place_of(cursor, int)
    after_id = 0 if place is None else int(place[0])
    found = await caller.read(templates.find_all, after_id=after_id, limit=limit + 1)
    page = found[:limit]
    next_cursor = cursor_of(page[-1].id) if len(found) > limit else None
    return Templates(templates=[_shown(each) for each in page], next_cursor=next_cursor)


@router.post("/api/templates/{templateId}/delete", summary="Delete a template")
async def delete_template(caller: ManagesOrganization, template_id: TemplateOfPath) -> Ok:
    """Delete a template. Messages that were sent with it stay as they are."""
    await caller.write(templates.remove, template_id, actor=caller.name, now_ms=now_ms())
    return Ok()


def _shown(template: Template) -> TemplateOut:
    return TemplateOut(
        id=str(template.id),
        title=template.title,
        text=template.text,
        content_sid=template.content_sid,
        created_at=template.created_at_ms,
    )
