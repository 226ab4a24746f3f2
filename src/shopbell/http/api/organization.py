"""The organization itself: its name, and how long it keeps what is said to it."""

import time
from typing import Annotated, cast

from fastapi import APIRouter
from pydantic import Field
from sqlalchemy import Connection

from shopbell import audit, organizations
from shopbell.http.api.access import ManagesOrganization
from shopbell.http.api.body import Body, described, takes
from shopbell.http.api.fields import Fields, FilledLine
from shopbell.organizations import KEEP_DAYS_MAX, Organization, OrganizationChanges

router = APIRouter(tags=["organization"])

KeepDays = Annotated[int, Field(ge=0, le=KEEP_DAYS_MAX)]


class UpdateOrganization(Fields):
    """What is to be changed of the organization; what is left out stays."""

    name: FilledLine | None = Field(None, description="What people call it.", examples=["Acme"])
    keep_messages_days: KeepDays | None = Field(
        None, description="Days after which messages are deleted for good; 0 keeps them for ever.", examples=[730]
    )
    keep_events_days: KeepDays | None = Field(
        None, description="Days after which events are deleted for good; 0 keeps them for ever.", examples=[90]
    )

    def changes(self) -> OrganizationChanges:
        """What was sent, as the core takes it."""
        # The fields have the names of its keys.
        return cast("OrganizationChanges", {name: value or None for name, value in self.given().items()})


class ShownOrganization(Fields):
    """The organization of the token."""

    id: str = Field(examples=["12344"])
    name: str = Field(examples=["Acme"])
    keep_messages_days: int | None = Field(
        description="Days after which messages are deleted; `null` for never.", examples=[730]
    )
    keep_events_days: int | None = Field(
        description="Days after which events are deleted; `null` for never.", examples=[90]
    )
    created_at: int = Field(description="In Unix milliseconds.", examples=[1700000000000])


@router.get("/api/organization", summary="Read the organization")
async def get_organization(caller: ManagesOrganization) -> ShownOrganization:
    """The organization that the token is of."""
    return _shown(await caller.read(organizations.get))


@router.post("/api/organization/update", openapi_extra=described(UpdateOrganization), summary="Change the organization")
async def update_organization(
    caller: ManagesOrganization, body: Annotated[Body[UpdateOrganization], takes(UpdateOrganization)]
) -> ShownOrganization:
    """Change what is given. What is older than it is to be kept begins to go within ten minutes, and for good.

    A conversation stays when its messages go; an event stays as long as a webhook delivery of it waits.
    """

    def work(tx: Connection, organization_id: int, changes: OrganizationChanges) -> Organization:
        if changes:
            subject, at_ms = f"organization {organization_id}", time.time_ns() // 1_000_000
            audit.record(tx, organization_id, caller.name, "organization.update", subject, now_ms=at_ms)
        return organizations.change(tx, organization_id, changes)

    return _shown(await caller.write(work, body.fields.changes()))


def _shown(organization: Organization) -> ShownOrganization:
    return ShownOrganization(
        id=str(organization.id),
        name=organization.name,
        keep_messages_days=organization.keep_messages_days,
        keep_events_days=organization.keep_events_days,
        created_at=organization.created_at_ms,
    )
