"""Publishable keys, with which websites show the widget."""

from typing import Annotated

from fastapi import APIRouter, Path
from pydantic import AfterValidator, Field, StringConstraints

from shopbell.http.request.caller import ManagesOrganization
from shopbell.http.request.fields import Fields, Id, PathId, field_error
from shopbell.http.request.json_body import Body, body_schema, json_body
from shopbell.organizations import publishable_keys
from shopbell.organizations.publishable_keys import ORIGINS_MAX, PublishableKey
from shopbell.runtime.clock import now_ms

router = APIRouter(tags=["organization"])

KeyOfPath = Annotated[PathId, Path(alias="publishableKeyId", description="The key's id.", examples=["12361"])]


def _origin(text: str) -> str:
    try:
        return publishable_keys.normal_origin(text)
    except ValueError as error:
        raise field_error("invalid_format", str(error)) from None


Origin = Annotated[str, StringConstraints(max_length=300), AfterValidator(_origin)]


class CreatePublishableKey(Fields):
    """A new key."""

    allowed_origins: Annotated[list[Origin], Field(min_length=1, max_length=ORIGINS_MAX)] = Field(
        description="The websites that may use it. `https://*.shop.example` allows all subdomains.",
        examples=[["https://shop.example"]],
    )
    business_id: Id | None = Field(None, description="The only business that it is for. Default: any.")


class PublishableKeyOut(Fields):
    """A publishable key. It is not a secret."""

    id: str = Field(examples=["12361"])
    key: str = Field(description="For `data-key` of the widget.", examples=["pk_live_0123456789abcdefghijABCD"])
    business_id: str | None = Field(description="The only business that it is for.", examples=[None])
    allowed_origins: list[str] = Field(examples=[["https://shop.example"]])
    created_at: int = Field(description="In Unix milliseconds.", examples=[1700000000000])
    revoked_at: int | None = Field(description="When it was revoked.", examples=[None])


class PublishableKeys(Fields):
    """All keys of the organization."""

    publishable_keys: list[PublishableKeyOut]


@router.post(
    "/api/publishable-keys", summary="Create a publishable key", openapi_extra=body_schema(CreatePublishableKey)
)
async def create_publishable_key(
    caller: ManagesOrganization, body: Annotated[Body[CreatePublishableKey], json_body(CreatePublishableKey)]
) -> PublishableKeyOut:
    """Create a key for the widget of a website. The key is public, but works only on the allowed websites."""
    business_id, origins = body.fields.business_id, body.fields.allowed_origins
    made = await caller.write(publishable_keys.create, business_id, origins, actor=caller.name, now_ms=now_ms())
    return _shown(made)


@router.get("/api/publishable-keys", summary="List the publishable keys")
async def list_publishable_keys(caller: ManagesOrganization) -> PublishableKeys:
    """List all keys of the organization, including revoked ones, the oldest first."""
    found = await caller.read(publishable_keys.find_all)
    return PublishableKeys(publishable_keys=[_shown(each) for each in found])


@router.post("/api/publishable-keys/{publishableKeyId}/revoke", summary="Revoke a publishable key")
async def revoke_publishable_key(caller: ManagesOrganization, key_id: KeyOfPath) -> PublishableKeyOut:
    """Revoke a key for good. New sessions cannot use it; existing ones continue."""
    return _shown(await caller.write(publishable_keys.revoke, key_id, actor=caller.name, now_ms=now_ms()))


def _shown(key: PublishableKey) -> PublishableKeyOut:
    return PublishableKeyOut(
        id=str(key.id),
        key=key.key,
        business_id=None if key.business_id is None else str(key.business_id),
        allowed_origins=list(key.origins),
        created_at=key.created_at_ms,
        revoked_at=key.revoked_at_ms,
    )
