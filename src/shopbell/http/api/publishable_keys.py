"""Publishable keys: with which websites show the widget."""

import time
from typing import Annotated

from fastapi import APIRouter, Path
from pydantic import AfterValidator, Field, StringConstraints
from sqlalchemy import Connection

from shopbell import audit, organizations, publishable_keys
from shopbell.errors import NotFound
from shopbell.http.api.access import Caller, ManagesOrganization
from shopbell.http.api.body import Body, described, takes
from shopbell.http.api.fields import Fields, Id, PathId, wrong
from shopbell.publishable_keys import ORIGINS_MAX, PublishableKey

router = APIRouter(tags=["organization"])

KeyOfPath = Annotated[PathId, Path(alias="publishableKeyId", description="The key's id.", examples=["12361"])]


def _origin(text: str) -> str:
    try:
        return publishable_keys.normal_origin(text)
    except ValueError as error:
        raise wrong("invalid_format", str(error)) from None


Origin = Annotated[str, StringConstraints(max_length=300), AfterValidator(_origin)]


class CreatePublishableKey(Fields):
    """A new key."""

    allowed_origins: Annotated[list[Origin], Field(min_length=1, max_length=ORIGINS_MAX)] = Field(
        description="The websites that may use it; `https://*.shop.example` allows all below that domain.",
        examples=[["https://shop.example"]],
    )
    business_id: Id | None = Field(None, description="The only business that it is for; any unless given.")


class ShownPublishableKey(Fields):
    """A key and where it is good. It is no secret."""

    id: str = Field(examples=["12361"])
    key: str = Field(description="For `data-key` of the widget.", examples=["pk_live_0123456789abcdefghijABCD"])
    business_id: str | None = Field(description="The only business that it is for.", examples=[None])
    allowed_origins: list[str] = Field(examples=[["https://shop.example"]])
    created_at: int = Field(description="In Unix milliseconds.", examples=[1700000000000])
    revoked_at: int | None = Field(description="Since when it is good for nothing.", examples=[None])


class PublishableKeys(Fields):
    """All keys of the organization."""

    publishable_keys: list[ShownPublishableKey]


@router.post("/api/publishable-keys", summary="Create a publishable key", openapi_extra=described(CreatePublishableKey))
async def create_publishable_key(
    caller: ManagesOrganization, body: Annotated[Body[CreatePublishableKey], takes(CreatePublishableKey)]
) -> ShownPublishableKey:
    """Make a key for the widget on a website. Everybody can see it there: it is good on the allowed websites only."""

    def work(tx: Connection, organization_id: int, now_ms: int) -> PublishableKey:
        business_id = body.fields.business_id
        if business_id is not None and not _is_open(tx, organization_id, business_id):
            raise NotFound("businessId")
        origins = body.fields.allowed_origins
        made = publishable_keys.create(tx, organization_id, business_id, origins, now_ms=now_ms)
        _note(tx, caller, "publishable-key.create", made.id, now_ms)
        return made

    return _shown(await caller.write(work, time.time_ns() // 1_000_000))


@router.get("/api/publishable-keys", summary="List the publishable keys")
async def list_publishable_keys(caller: ManagesOrganization) -> PublishableKeys:
    """List all keys of the organization, the oldest first, those that were revoked too."""
    found = await caller.read(publishable_keys.find_all)
    return PublishableKeys(publishable_keys=[_shown(each) for each in found])


@router.post("/api/publishable-keys/{publishableKeyId}/revoke", summary="Revoke a publishable key")
async def revoke_publishable_key(caller: ManagesOrganization, key_id: KeyOfPath) -> ShownPublishableKey:
    """Revoke a key for good: no conversation begins with it any more. Those that began go on."""

    def work(tx: Connection, organization_id: int, now_ms: int) -> PublishableKey:
        revoked = publishable_keys.revoke(tx, organization_id, key_id, now_ms=now_ms)
        _note(tx, caller, "publishable-key.revoke", key_id, now_ms)
        return revoked

    return _shown(await caller.write(work, time.time_ns() // 1_000_000))


def _is_open(tx: Connection, organization_id: int, business_id: int) -> bool:
    business = organizations.find_business(tx, organization_id, business_id)
    return business is not None and business.active


def _note(tx: Connection, caller: Caller, action: str, key_id: int, now_ms: int) -> None:
    audit.record(tx, caller.organization_id, caller.name, action, f"publishable key {key_id}", now_ms=now_ms)


def _shown(key: PublishableKey) -> ShownPublishableKey:
    return ShownPublishableKey(
        id=str(key.id),
        key=key.key,
        business_id=None if key.business_id is None else str(key.business_id),
        allowed_origins=list(key.origins),
        created_at=key.created_at_ms,
        revoked_at=key.revoked_at_ms,
    )
