"""Read the audit log."""

from fastapi import APIRouter
from pydantic import Field

from shopbell.events import audit_log
from shopbell.http.request.caller import ReadsAudit
from shopbell.http.request.fields import Fields
from shopbell.http.request.paging import LIMIT_DEFAULT, Cursor, Limit, cursor_of, place_of

router = APIRouter(tags=["organization"])


class AuditEntry(Fields):
    """Who changed what."""

    id: str = Field(examples=["12360"])
    at: int = Field(description="In Unix milliseconds.", examples=[1700000000000])
    actor: str = Field(
        description="Who did it: `employee` or `token` and an id, or `command line` for the operator.",
        examples=["employee 12351"],
    )
    action: str = Field(description="What was done, noun first.", examples=["token.revoke"])
    subject: str = Field(description="The kind and the id of what changed.", examples=["token 12355"])


class AuditEntries(Fields):
    """A page of the audit log, the newest entry first."""

    entries: list[AuditEntry]
    next_cursor: str | None = Field(description="The `cursor` of the next page; `null` on the last.", examples=[None])


@router.get("/api/audit", summary="Read the audit log")
async def read_audit(caller: ReadsAudit, cursor: Cursor = None, limit: Limit = LIMIT_DEFAULT) -> AuditEntries:
    """List who changed what in the organization, the newest first. It contains no personal data of customers."""
    place = place_of(cursor, int)
    before_id = None if place is None else int(place[0])
    found = await caller.read(audit_log.find_page, before_id=before_id, limit=limit + 1)
    page = found[:limit]
    next_cursor = cursor_of(page[-1].id) if len(found) > limit else None
    return AuditEntries(
        entries=[
            AuditEntry(id=str(each.id), at=each.at_ms, actor=each.actor, action=each.action, subject=each.subject)
            for each in page
        ],
        next_cursor=next_cursor,
    )
