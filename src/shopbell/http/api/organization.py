"""Read and change the organization."""

from typing import Annotated, cast

from fastapi import APIRouter
from pydantic import AfterValidator, Field, StringConstraints, ValidationInfo
from sqlalchemy import Connection

from shopbell.http.api.webhooks import cipher_of, reachable
from shopbell.http.request.caller import Caller, ManagesOrganization
from shopbell.http.request.fields import Fields, FilledLine
from shopbell.http.request.json_body import Body, body_schema, json_body
from shopbell.organizations import organizations
from shopbell.organizations.organizations import KEEP_DAYS_MAX, Organization, OrganizationChanges
from shopbell.runtime.clock import now_ms
from shopbell.safe_http.urls import URL_LONGEST
from shopbell.webhooks import push_urls

WEBHOOKS_SCOPE = "webhooks:manage"

router = APIRouter(tags=["organization"])


def _reachable_or_empty(url: str, info: ValidationInfo) -> str:
    return url and reachable(url, info)


PushUrl = Annotated[str, StringConstraints(max_length=URL_LONGEST), AfterValidator(_reachable_or_empty)]
KeepDays = Annotated[int, Field(ge=0, le=KEEP_DAYS_MAX)]


class UpdateOrganization(Fields):
    """The fields of the organization to change."""

    name: FilledLine | None = Field(None, description="Its name.", examples=["Acme"])
    keep_messages_days: KeepDays | None = Field(
        None, description="Days after which messages are deleted for good; 0 keeps them forever.", examples=[730]
    )
    keep_events_days: KeepDays | None = Field(
        None, description="Days after which events are deleted for good; 0 keeps them forever.", examples=[90]
    )
    requires_second_factor: bool | None = Field(
        None,
        description="Whether employees need a second factor to sign in: a passkey, or a code from an app after their "
        "password. Employees without one set it up the next time that they sign in.",
        examples=[True],
    )
    push_url: PushUrl | None = Field(
        None,
        description="The URL that messages to customers are pushed to, for their apps: https, at most 2,048 "
        "characters, with a public address. An empty string removes it. The token also needs the scope "
        "`webhooks:manage`.",
    )

    def changes(self) -> OrganizationChanges:
        """Return the given fields in the names of ``organizations``."""
        # The names are the same; 0 days are stored as NULL.
        given = {name: value for name, value in self.given().items() if name != "push_url"}
        days = ("keep_messages_days", "keep_events_days")
        return cast(
            "OrganizationChanges", {name: value or None if name in days else value for name, value in given.items()}
        )


class OrganizationOut(Fields):
    """The organization of the token."""

    id: str = Field(examples=["12344"])
    name: str = Field(examples=["Acme"])
    keep_messages_days: int | None = Field(
        description="Days after which messages are deleted; `null` for never.", examples=[730]
    )
    keep_events_days: int | None = Field(
        description="Days after which events are deleted; `null` for never.", examples=[90]
    )
    requires_second_factor: bool = Field(
        description="Whether employees need a second factor to sign in.", examples=[False]
    )
    push_url: str | None = Field(
        description="The URL that messages to customers are pushed to; `null` if there is none, or if the token "
        "lacks the scope `webhooks:manage`.",
        examples=[None],
    )
    created_at: int = Field(description="In Unix milliseconds.", examples=[1700000000000])


@router.get("/api/organization", summary="Read the organization")
async def get_organization(caller: ManagesOrganization) -> OrganizationOut:
    """Read the organization of the token."""
    return _shown(caller, *await caller.read(_read))


@router.post(
    "/api/organization/update", openapi_extra=body_schema(UpdateOrganization), summary="Change the organization"
)
async def update_organization(
    caller: ManagesOrganization, body: Annotated[Body[UpdateOrganization], json_body(UpdateOrganization)]
) -> OrganizationOut:
    """Change the given fields. Messages and events that are too old are deleted for good, starting within ten minutes.

    A conversation stays when its messages are deleted. An event stays as long as a webhook delivery of it waits.
    """
    url = body.fields.push_url
    if url is not None:
        caller.require(WEBHOOKS_SCOPE)

    def work(tx: Connection, organization_id: int, changes: OrganizationChanges) -> tuple[Organization, str | None]:
        actor, at_ms = caller.name, now_ms()
        organizations.change(tx, organization_id, changes, actor=actor, now_ms=at_ms)
        if url is not None:
            push_urls.change(tx, organization_id, cipher_of(caller), url or None, actor=actor, now_ms=at_ms)
        return _read(tx, organization_id)

    return _shown(caller, *await caller.write(work, body.fields.changes()))


def _read(tx: Connection, organization_id: int) -> tuple[Organization, str | None]:
    return organizations.get(tx, organization_id), push_urls.find(tx, organization_id)


def _shown(caller: Caller, organization: Organization, push_url: str | None) -> OrganizationOut:
    return OrganizationOut(
        id=str(organization.id),
        name=organization.name,
        keep_messages_days=organization.keep_messages_days,
        keep_events_days=organization.keep_events_days,
        requires_second_factor=organization.requires_second_factor,
        push_url=push_url if WEBHOOKS_SCOPE in caller.permissions else None,
        created_at=organization.created_at_ms,
    )
