"""Businesses: list, read, make, change and deactivate them."""

import json
import time
from typing import Annotated, Any, Literal, cast

from fastapi import APIRouter, Path
from pydantic import AfterValidator, Field, ValidationError, ValidationInfo, WithJsonSchema
from pydantic_core import InitErrorDetails
from sqlalchemy import Connection

from shopbell import audit, business_values, events, identity, organizations
from shopbell.business_values import BusinessChanges, WrongValues
from shopbell.errors import Invalid, NotFound
from shopbell.hours import JSON_SCHEMA, OpeningHours
from shopbell.http.api.access import ManagesOrganization, ReadsThreads
from shopbell.http.api.body import Body, described, takes
from shopbell.http.api.fields import Fields, FilledLine, PathId, fault_error, wrong
from shopbell.http.api.paging import LIMIT_DEFAULT, Cursor, Limit, cursor_of, place_of
from shopbell.http.api.results import Ok

router = APIRouter(tags=["businesses"])

_HOURS = {
    "weekly": {
        **{day: [["09:00", "12:00"], ["13:30", "18:00"]] for day in ("mon", "tue", "wed", "thu", "fri")},
        "sat": [["09:00", "13:00"]],
        "sun": [],
    },
    "exceptions": [{"date": "2026-12-25", "intervals": [], "name": "Christmas"}],
}


def _valid(name: str) -> AfterValidator:
    """Refuses what ``business_values`` would, where the value alone tells; its normal form is made there."""

    def check(text: str, info: ValidationInfo) -> str:
        region = info.data.get("region")
        if "phone" in name and region is None and not identity.is_international(text):
            return text  # of the business's own region, which is not known here
        try:
            business_values.check(name, text, region=region and region.upper())
        except ValueError as error:
            raise wrong(business_values.code_of(name), str(error)) from None
        return text

    return AfterValidator(check)


Locale = Annotated[str, _valid("locale")]
Region = Annotated[str, _valid("region")]
TimeZone = Annotated[str, _valid("time_zone")]
Email = Annotated[str, _valid("email")]
Phone = Annotated[str, _valid("phone")]
ForwardPhone = Annotated[str, _valid("forward_phone")]
Survey = Annotated[str, _valid("survey")]
BrandColor = Annotated[str, _valid("brand_color")]


def _hours(value: dict[str, Any]) -> dict[str, Any]:
    try:
        return OpeningHours.from_json(value, business_values.DEFAULT_TIME_ZONE, pointer="").as_json() if value else {}
    except Invalid as invalid:
        details = [
            InitErrorDetails(type=fault_error(fault), loc=tuple(fault.name.split("/")[1:]), input="")
            for fault in invalid.faults
        ]
        raise ValidationError.from_exception_data("openingHours", details) from None


Hours = Annotated[dict[str, Any], AfterValidator(_hours), WithJsonSchema(JSON_SCHEMA)]
BusinessId = Annotated[PathId, Path(alias="businessId", description="The business.", examples=["12345"])]


class UpdateBusiness(Fields):
    """What to change of a business. An empty text takes a region, address or number away."""

    name: FilledLine | None = Field(None, description="What customers call it.", examples=["Acme Boston"])
    locale: Locale | None = Field(None, description="Language that customers are spoken to.", examples=["en-US"])
    region: Region | None = Field(
        None, description="Country of phone numbers without a `+`: two letters (ISO 3166).", examples=["US"]
    )
    time_zone: TimeZone | None = Field(
        None, description="Name in the IANA time zone database.", examples=["America/New_York"]
    )
    email: Email | None = Field(None, description="Its own e-mail address.", examples=["boston@acme.example"])
    phone_number: Phone | None = Field(None, description="Its own phone number.", examples=["+16175550100"])
    forward_phone_number: ForwardPhone | None = Field(
        None, description="Where voice calls are put through to.", examples=["+16175550101"]
    )

    invites_customers: bool | None = Field(
        None, description="Whether who writes first is sent a link to the conversation.", examples=[True]
    )
    tells_store: bool | None = Field(
        None,
        description="Whether a conversation that waits is mailed to `email`; without an address it is not.",
        examples=[True],
    )
    auto_replies: bool | None = Field(
        None, description="Whether who writes outside of the opening hours is told so, once.", examples=[True]
    )
    opening_hours: Hours | None = Field(
        None,
        description="When it is open, by the clocks of its time zone: `weekly` hours, and dates that differ. `{}` "
        "takes them away.",
        examples=[_HOURS],
    )
    survey: Survey | None = Field(
        None, description="What customers are asked when a conversation is resolved: `nps` or `csat`.", examples=["nps"]
    )
    brand_color: BrandColor | None = Field(None, description="Colour of buttons.", examples=["#8f4f00"])

    def changes(self) -> BusinessChanges:
        """What was given, as ``organizations`` takes it."""
        names = {"phone_number": "phone", "forward_phone_number": "forward_phone"}
        given = {names.get(name, name): value for name, value in self.given().items()}
        if "opening_hours" in given:
            given["opening_hours"] = json.dumps(given["opening_hours"]) if given["opening_hours"] else ""
        return cast("BusinessChanges", given)


class CreateBusiness(UpdateBusiness):
    """A new business; its locale is `en` and its time zone `UTC` unless given."""

    name: FilledLine = Field(description="What customers call it.", examples=["Acme Boston"])


class BusinessView(Fields):
    """A business (store): what customers write to."""

    id: str = Field(description="Its id.", examples=["12345"])
    name: str = Field(description="What customers call it.", examples=["Acme Boston"])
    locale: str = Field(description="Language that customers are spoken to.", examples=["en-US"])
    region: str | None = Field(description="Country of phone numbers without a `+`.", examples=["US"])
    time_zone: str = Field(description="IANA time zone.", examples=["America/New_York"])
    email: str | None = Field(description="Its own e-mail address.", examples=["boston@acme.example"])
    phone_number: str | None = Field(description="Its own phone number, in E.164.", examples=["+16175550100"])
    forward_phone_number: str | None = Field(
        description="Where voice calls are put through to, in E.164.", examples=["+16175550101"]
    )
    invites_customers: bool = Field(
        description="Whether who writes first is sent a link to the conversation.", examples=[True]
    )
    tells_store: bool = Field(
        description="Whether a conversation that waits is mailed to `email`; without an address it is not.",
        examples=[True],
    )
    auto_replies: bool = Field(
        description="Whether who writes outside of the opening hours is told so, once.", examples=[True]
    )
    opening_hours: dict[str, Any] | None = Field(
        description="When it is open; `null` when that is not known.", examples=[_HOURS]
    )
    survey: Literal["nps", "csat"] | None = Field(
        description="What customers are asked when a conversation is resolved.", examples=["nps"]
    )
    brand_color: str | None = Field(description="Colour of buttons.", examples=["#8f4f00"])
    active: bool = Field(description="Whether customers can write to it.", examples=[True])
    created_at: int = Field(description="When it was made, in Unix ms.", examples=[1_700_000_000_000])
    deactivated_at: int | None = Field(description="When it was closed, in Unix ms.", examples=[None])


class BusinessList(Fields):
    """A page of businesses."""

    businesses: list[BusinessView] = Field(description="The oldest first.")
    next_cursor: str | None = Field(description="`cursor` of the next page; `null` after the last.", examples=[None])


@router.get("/api/businesses", summary="List the businesses")
async def list_businesses(caller: ReadsThreads, limit: Limit = LIMIT_DEFAULT, cursor: Cursor = None) -> BusinessList:
    """List all businesses of the organization, the oldest first; deactivated ones, too."""
    place = place_of(cursor, int)
    after_id = int(place[0]) if place else 0
    found = await caller.read(organizations.find_businesses, after_id=after_id, limit=limit + 1)
    return BusinessList(
        businesses=[_shown(business) for business in found[:limit]],
        next_cursor=cursor_of(found[limit - 1].id) if len(found) > limit else None,
    )


@router.get("/api/businesses/{businessId}", summary="Read a business")
async def get_business(caller: ReadsThreads, business_id: BusinessId) -> BusinessView:
    """Read one business, active or not."""
    return _shown(await caller.read(_find, business_id))


@router.post("/api/businesses", summary="Make a business", openapi_extra=described(CreateBusiness))
async def create_business(
    caller: ManagesOrganization, body: Annotated[Body[CreateBusiness], takes(CreateBusiness)]
) -> BusinessView:
    """Make a business; customers can write to it at once."""
    return _shown(await caller.write(_create, body.fields.changes(), caller.name))


@router.post(
    "/api/businesses/{businessId}/update", summary="Change a business", openapi_extra=described(UpdateBusiness)
)
async def update_business(
    caller: ManagesOrganization,
    business_id: BusinessId,
    body: Annotated[Body[UpdateBusiness], takes(UpdateBusiness)],
) -> Ok:
    """Change what is given of a business and nothing else."""
    await caller.write(_update, business_id, body.fields.changes(), caller.name)
    return Ok()


@router.post("/api/businesses/{businessId}/deactivate", summary="Close a business")
async def deactivate_business(caller: ManagesOrganization, business_id: BusinessId) -> Ok:
    """Close a business to its customers: to them it does not exist any more. Its conversations stay."""
    await caller.write(_deactivate, business_id, caller.name)
    return Ok()


def _find(tx: Connection, organization_id: int, business_id: int) -> organizations.Business:
    business = organizations.find_business(tx, organization_id, business_id)
    if business is None:
        raise NotFound("businessId")
    return business


def _create(tx: Connection, organization_id: int, given: BusinessChanges, actor: str) -> organizations.Business:
    now_ms = _now_ms()
    try:
        business = organizations.create_business(tx, organization_id, given, now_ms=now_ms)
    except WrongValues as values:
        raise Invalid(values.faults) from None
    audit.record(tx, organization_id, actor, "business.create", f"business {business.id}", now_ms=now_ms)
    events.record(tx, organization_id, "business-created", now_ms=now_ms, business_id=business.id)
    return business


def _update(tx: Connection, organization_id: int, business_id: int, changes: BusinessChanges, actor: str) -> None:
    business = _find(tx, organization_id, business_id)
    if not changes:
        return
    try:
        organizations.change_business(tx, business, changes)
    except WrongValues as values:
        raise Invalid(values.faults) from None
    _note_change(tx, business, actor, "business.update", business_values.fields_of(changes), _now_ms())


def _deactivate(tx: Connection, organization_id: int, business_id: int, actor: str) -> None:
    now_ms = _now_ms()
    business = _find(tx, organization_id, business_id)
    if business.active:
        organizations.deactivate_business(tx, business_id, now_ms=now_ms)
        _note_change(tx, business, actor, "business.deactivate", ["active"], now_ms)


def _note_change(
    tx: Connection, business: organizations.Business, actor: str, action: str, changed: list[str], now_ms: int
) -> None:
    audit.record(tx, business.organization_id, actor, action, f"business {business.id}", now_ms=now_ms)
    details = {"changed": changed}
    event: events.EventType = "business-updated"
    events.record(tx, business.organization_id, event, now_ms=now_ms, business_id=business.id, details=details)


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


def _shown(business: organizations.Business) -> BusinessView:
    return BusinessView(
        id=str(business.id),
        name=business.name,
        locale=business.locale,
        region=business.default_region,
        time_zone=business.time_zone,
        email=business.email,
        phone_number=business.phone_number,
        forward_phone_number=business.voice_forward_number,
        invites_customers=business.invites_customers,
        tells_store=business.tells_store,
        auto_replies=business.auto_replies,
        opening_hours=json.loads(business.opening_hours) if business.opening_hours else None,
        survey=cast("Any", business.survey),
        brand_color=business.brand_color,
        active=business.active,
        created_at=business.created_at_ms,
        deactivated_at=business.deactivated_at_ms,
    )
