"""The organization itself: its name, and how long it keeps what is said to it."""

import time
from typing import Annotated, cast

from fastapi import APIRouter
from pydantic import AfterValidator, Field, StringConstraints, ValidationInfo
from sqlalchemy import Connection

from shopbell import audit, organizations, push_urls
from shopbell.http.api.access import Caller, ManagesOrganization
from shopbell.http.api.body import Body, described, takes
from shopbell.http.api.fields import Fields, FilledLine
from shopbell.http.api.webhooks import reachable, seals_of
from shopbell.http.authentication import require_scope
from shopbell.organizations import KEEP_DAYS_MAX, Organization, OrganizationChanges
from shopbell.outbound.targets import URL_LONGEST

WEBHOOKS_SCOPE = "webhooks:manage"

router = APIRouter(tags=["organization"])


def _reachable_or_empty(url: str, info: ValidationInfo) -> str:
    return url and reachable(url, info)


PushUrl = Annotated[str, StringConstraints(max_length=URL_LONGEST), AfterValidator(_reachable_or_empty)]
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

    push_url: PushUrl | None = Field(
        None,
        description="Where messages to customers are pushed to, for their apps: an https URL of at most 2,048 "
        "characters that leads to a public address. An empty text removes it. The token needs the scope "
        "`webhooks:manage` too.",
    )

    def changes(self) -> OrganizationChanges:
        """What was sent, as the core takes it."""
        # The fields have the names of its keys.
        given = {name: value or None for name, value in self.given().items() if name != "push_url"}
        return cast("OrganizationChanges", given)


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
    push_url: str | None = Field(
        description="Where messages to customers are pushed to; `null` where there is no such URL, and for tokens "
        "without the scope `webhooks:manage`.",
        examples=[None],
    )
    created_at: int = Field(description="In Unix milliseconds.", examples=[1700000000000])


@router.get("/api/organization", summary="Read the organization")
async def get_organization(caller: ManagesOrganization) -> ShownOrganization:
    """The organization that the token is of."""
    return _shown(caller, *await caller.read(_read))


@router.post("/api/organization/update", openapi_extra=described(UpdateOrganization), summary="Change the organization")
async def update_organization(
    caller: ManagesOrganization, body: Annotated[Body[UpdateOrganization], takes(UpdateOrganization)]
) -> ShownOrganization:
    """Change what is given. What is older than it is to be kept begins to go within ten minutes, and for good.

    A conversation stays when its messages go; an event stays as long as a webhook delivery of it waits.
    """
    url = body.fields.push_url
    if url is not None:
        require_scope(caller.token, WEBHOOKS_SCOPE)

    def work(tx: Connection, organization_id: int, changes: OrganizationChanges) -> tuple[Organization, str | None]:
        subject, at_ms = f"organization {organization_id}", time.time_ns() // 1_000_000
        if changes or url is not None:
            audit.record(tx, organization_id, caller.name, "organization.update", subject, now_ms=at_ms)
        organizations.change(tx, organization_id, changes)
        if url is not None:
            push_urls.change(tx, organization_id, seals_of(caller), url or None, now_ms=at_ms)
        return _read(tx, organization_id)

    return _shown(caller, *await caller.write(work, body.fields.changes()))


def _read(tx: Connection, organization_id: int) -> tuple[Organization, str | None]:
    return organizations.get(tx, organization_id), push_urls.find(tx, organization_id)


def _shown(caller: Caller, organization: Organization, push_url: str | None) -> ShownOrganization:
    return ShownOrganization(
        id=str(organization.id),
        name=organization.name,
        keep_messages_days=organization.keep_messages_days,
        keep_events_days=organization.keep_events_days,
        push_url=push_url if WEBHOOKS_SCOPE in caller.token.scopes else None,
        created_at=organization.created_at_ms,
    )
