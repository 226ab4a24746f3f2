"""List, create, change and delete saved views."""

from typing import Annotated

from fastapi import APIRouter, Path
from pydantic import AfterValidator, Field

from shopbell.http.inbox.person import ActingAs, ActingEmployee
from shopbell.http.request.caller import Caller, ReadsSomeThreads, WritesSomeThreads
from shopbell.http.request.fields import Fields, FilledLine, Id, PathId, field_error
from shopbell.http.request.json_body import Body, body_schema, json_body
from shopbell.http.request.paging import LIMIT_DEFAULT, Cursor, Limit, cursor_of, place_of
from shopbell.http.request.results import Ok
from shopbell.inbox import saved_views
from shopbell.inbox.saved_views import SavedView
from shopbell.runtime.clock import now_ms

router = APIRouter(tags=["inbox"])

SavedViewOfPath = Annotated[PathId, Path(alias="savedViewId", description="The view.", examples=["12356"])]


def _query(text: str) -> str:
    try:
        return saved_views.check_query(text)
    except ValueError as error:
        raise field_error("invalid_format", str(error)) from None


Query = Annotated[str, AfterValidator(_query)]


class CreateSavedView(Fields):
    """A new view."""

    name: FilledLine = Field(description="Its name for employees.", examples=["Repairs in Boston"])
    query: Query = Field(
        description="The parameters of `GET /api/inbox/threads`, except those of the page, at most 500 characters.",
        examples=["view=open&channel=EMAIL"],
    )
    shared: bool = Field(
        default=False,
        description="Whether all employees see it. Must be `true` for a token without `employeeUserId`.",
        examples=[True],
    )
    employee_user_id: Id | None = Field(
        None, description="The employee in whose name a token acts.", examples=["12351"]
    )


class UpdateSavedView(Fields):
    """The fields of a view to change."""

    name: FilledLine | None = Field(None, description="The new name.", examples=["Repairs"])
    query: Query | None = Field(
        None, description="The new parameters of `GET /api/inbox/threads`.", examples=["view=open&channel=SMS"]
    )
    shared: bool | None = Field(None, description="Whether all employees see it.", examples=[True])
    employee_user_id: Id | None = Field(
        None, description="The employee in whose name a token acts.", examples=["12351"]
    )


class SavedViewOut(Fields):
    """A saved view."""

    saved_view_id: str = Field(examples=["12356"])
    name: str = Field(examples=["Repairs in Boston"])
    query: str = Field(
        description="The parameters of `GET /api/inbox/threads`, in a fixed order.",
        examples=["view=open&channel=EMAIL"],
    )
    shared: bool = Field(description="Whether all employees see it.", examples=[True])
    employee_user_id: str | None = Field(description="Who made it; `null` for a program.", examples=[None])
    updated_at: int = Field(description="In Unix milliseconds.", examples=[1700000000000])


class SavedViews(Fields):
    """A page of saved views, the oldest first."""

    saved_views: list[SavedViewOut]
    next_cursor: str | None = Field(description="The `cursor` of the next page; `null` on the last.", examples=[None])


@router.get("/api/saved-views", summary="List saved views")
async def list_saved_views(
    caller: ReadsSomeThreads,
    employee_user_id: ActingEmployee = None,
    cursor: Cursor = None,
    limit: Limit = LIMIT_DEFAULT,
) -> SavedViews:
    """List the shared views and the employee's own, the oldest first.

    A token that names no employee gets the shared ones.
    """
    employee_id, place = caller.acting(employee_user_id), place_of(cursor, int)
    after_id = 0 if place is None else int(place[0])
    found = await caller.read(
        saved_views.find_visible, employee_id, businesses=caller.businesses, after_id=after_id, limit=limit + 1
    )
    page = found[:limit]
    next_cursor = cursor_of(page[-1].id) if len(found) > limit else None
    return SavedViews(saved_views=[_shown(each) for each in page], next_cursor=next_cursor)


@router.post("/api/saved-views", openapi_extra=body_schema(CreateSavedView), summary="Create a saved view")
async def create_saved_view(
    caller: WritesSomeThreads, body: Annotated[Body[CreateSavedView], json_body(CreateSavedView)]
) -> SavedViewOut:
    """Save filters of the list of conversations under a name.

    409 if the employee has 100 views, or if the organization has 200 shared ones.
    """
    fields = body.fields
    made = await caller.write(
        saved_views.create,
        fields.name,
        fields.query,
        shared=fields.shared,
        employee_id=caller.acting(fields.employee_user_id),
        actor=caller.name,
        now_ms=now_ms(),
    )
    return _shown(made)


@router.post(
    "/api/saved-views/{savedViewId}/update", openapi_extra=body_schema(UpdateSavedView), summary="Change a saved view"
)
async def update_saved_view(
    caller: WritesSomeThreads,
    saved_view_id: SavedViewOfPath,
    body: Annotated[Body[UpdateSavedView], json_body(UpdateSavedView)],
) -> Ok:
    """Change the given fields of a view.

    Employees can change the views that they made. The shared views of others need the permission `inbox:manage`.
    """
    changes = body.fields.given()
    employee_id = caller.acting(changes.pop("employee_user_id", None))
    await caller.write(
        saved_views.change,
        saved_view_id,
        changes,
        employee_id=employee_id,
        manages=_manages(caller),
        actor=caller.name,
        now_ms=now_ms(),
    )
    return Ok()


@router.post(
    "/api/saved-views/{savedViewId}/delete", openapi_extra=body_schema(ActingAs), summary="Delete a saved view"
)
async def delete_saved_view(
    caller: WritesSomeThreads,
    saved_view_id: SavedViewOfPath,
    body: Annotated[Body[ActingAs], json_body(ActingAs)],
) -> Ok:
    """Delete a view of the employee.

    The shared views of others need the permission `inbox:manage`.
    """
    employee_id = caller.acting(body.fields.employee_user_id)
    await caller.write(
        saved_views.remove,
        saved_view_id,
        employee_id=employee_id,
        manages=_manages(caller),
        actor=caller.name,
        now_ms=now_ms(),
    )
    return Ok()


def _manages(caller: Caller) -> bool:
    return "inbox:manage" in caller.permissions


def _shown(view: SavedView) -> SavedViewOut:
    return SavedViewOut(
        saved_view_id=str(view.id),
        name=view.name,
        query=view.query,
        shared=view.shared,
        employee_user_id=None if view.employee_id is None else str(view.employee_id),
        updated_at=view.updated_at_ms,
    )
