"""List, read, create, change and deactivate businesses."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any, Literal, cast

from fastapi import APIRouter, Path
from pydantic import AfterValidator, Field, ValidationError, ValidationInfo, WithJsonSchema
from pydantic_core import InitErrorDetails

from shopbell.errors import Invalid
from shopbell.formats import identities
from shopbell.http.request.caller import ManagesOrganization, ReadsSomeThreads
from shopbell.http.request.fields import Fields, FilledLine, PathId, field_error, pydantic_error
from shopbell.http.request.json_body import Body, body_schema, json_body
from shopbell.http.request.paging import LIMIT_DEFAULT, Cursor, Limit, cursor_of, place_of
from shopbell.http.request.results import Ok
from shopbell.organizations import business_fields, organizations
from shopbell.organizations.business_fields import BusinessChanges, WrongValues
from shopbell.organizations.opening_hours import JSON_SCHEMA, OpeningHours
from shopbell.runtime.clock import now_ms

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
    """Return a validator with the rules of ``business_fields``, which also makes the normal form."""

    def check(text: str, info: ValidationInfo) -> str:
        region = info.data.get("region")
        if "phone" in name and region is None and not identities.is_international(text):
            return text  # the region of the business is not known here
        try:
            business_fields.check(name, text, region=region and region.upper())
        except ValueError as error:
            raise field_error(business_fields.code_of(name), str(error)) from None
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
        return OpeningHours.from_json(value, business_fields.DEFAULT_TIME_ZONE).as_json() if value else {}
    except Invalid as invalid:
        details = [
            InitErrorDetails(type=pydantic_error(error), loc=tuple(error.path.split("/")[1:]), input="")
            for error in invalid.errors
        ]
        raise ValidationError.from_exception_data("openingHours", details) from None


Hours = Annotated[dict[str, Any], AfterValidator(_hours), WithJsonSchema(JSON_SCHEMA)]
BusinessId = Annotated[PathId, Path(alias="businessId", description="The business.", examples=["12345"])]


class UpdateBusiness(Fields):
    """The fields of a business to change. An empty string removes a region, address or number."""

    name: FilledLine | None = Field(None, description="Its name for customers.", examples=["Acme Boston"])
    locale: Locale | None = Field(None, description="The language for texts to customers.", examples=["en-US"])
    region: Region | None = Field(
        None, description="The country of phone numbers without `+`: two letters (ISO 3166).", examples=["US"]
    )
    time_zone: TimeZone | None = Field(
        None, description="A name of the IANA time zone database.", examples=["America/New_York"]
    )
    email: Email | None = Field(None, description="Its email address.", examples=["boston@acme.example"])
    phone_number: Phone | None = Field(None, description="Its phone number.", examples=["+16175550100"])
    forward_phone_number: ForwardPhone | None = Field(
        None, description="The number that voice calls are forwarded to.", examples=["+16175550101"]
    )

    invites_customers: bool | None = Field(
        None,
        description="Whether a customer who writes for the first time gets a link to the conversation.",
        examples=[True],
    )
    tells_store: bool | None = Field(
        None,
        description="Whether `email` is notified of conversations that wait for a reply.",
        examples=[True],
    )
    auto_replies: bool | None = Field(
        None,
        description="Whether customers who write outside the opening hours get one automatic reply.",
        examples=[True],
    )
    opening_hours: Hours | None = Field(
        None,
        description="The opening hours in its time zone: `weekly` hours and `exceptions` for single dates. `{}` "
        "removes them.",
        examples=[_HOURS],
    )
    survey: Survey | None = Field(
        None, description="The survey after a conversation is resolved: `nps` or `csat`.", examples=["nps"]
    )
    brand_color: BrandColor | None = Field(None, description="The color of buttons.", examples=["#8f4f00"])

    def changes(self) -> BusinessChanges:
        """Return the given fields in the names of ``organizations``."""
        names = {"phone_number": "phone", "forward_phone_number": "forward_phone"}
        given = {names.get(name, name): value for name, value in self.given().items()}
        if "opening_hours" in given:
            given["opening_hours"] = json.dumps(given["opening_hours"]) if given["opening_hours"] else ""
        return cast("BusinessChanges", given)


class CreateBusiness(UpdateBusiness):
    """A new business. Its default locale is `en`, its default time zone `UTC`."""

    name: FilledLine = Field(description="Its name for customers.", examples=["Acme Boston"])


class BusinessView(Fields):
    """A business that customers can write to."""

    id: str = Field(description="Its id.", examples=["12345"])
    name: str = Field(description="Its name for customers.", examples=["Acme Boston"])
    locale: str = Field(description="The language for texts to customers.", examples=["en-US"])
    region: str | None = Field(description="The country of phone numbers without `+`.", examples=["US"])
    time_zone: str = Field(description="A name of the IANA time zone database.", examples=["America/New_York"])
    email: str | None = Field(description="Its email address.", examples=["boston@acme.example"])
    phone_number: str | None = Field(description="Its phone number, in E.164.", examples=["+16175550100"])
    forward_phone_number: str | None = Field(
        description="The number that voice calls are forwarded to, in E.164.", examples=["+16175550101"]
    )
    invites_customers: bool = Field(
        description="Whether a customer who writes for the first time gets a link to the conversation.", examples=[True]
    )
    tells_store: bool = Field(
        description="Whether `email` is notified of conversations that wait for a reply.",
        examples=[True],
    )
    auto_replies: bool = Field(
        description="Whether customers who write outside the opening hours get one automatic reply.", examples=[True]
    )
    opening_hours: dict[str, Any] | None = Field(
        description="The opening hours; `null` if they are not known.", examples=[_HOURS]
    )
    survey: Literal["nps", "csat"] | None = Field(
        description="The survey after a conversation is resolved.", examples=["nps"]
    )
    brand_color: str | None = Field(description="The color of buttons.", examples=["#8f4f00"])
    active: bool = Field(description="Whether customers can write to it.", examples=[True])
    created_at: int = Field(description="When it was created, in Unix ms.", examples=[1_700_000_000_000])
    deactivated_at: int | None = Field(description="When it was deactivated, in Unix ms.", examples=[None])


class BusinessList(Fields):
    """A page of businesses."""

    businesses: list[BusinessView] = Field(description="The oldest first.")
    next_cursor: str | None = Field(description="`cursor` of the next page; `null` after the last.", examples=[None])


@router.get("/api/businesses", summary="List the businesses")
async def list_businesses(
    caller: ReadsSomeThreads, limit: Limit = LIMIT_DEFAULT, cursor: Cursor = None
) -> BusinessList:
    """List the caller's businesses, including deactivated ones, the oldest first."""
    place = place_of(cursor, int)
    after_id = int(place[0]) if place else 0
    found = await caller.read(
        organizations.find_businesses, among=caller.businesses, after_id=after_id, limit=limit + 1
    )
    return BusinessList(
        businesses=[_shown(business) for business in found[:limit]],
        next_cursor=cursor_of(found[limit - 1].id) if len(found) > limit else None,
    )


@router.get("/api/businesses/{businessId}", summary="Read a business")
async def get_business(caller: ReadsSomeThreads, business_id: BusinessId) -> BusinessView:
    """Read one business, active or not."""
    caller.check_business(business_id)
    return _shown(await caller.read(organizations.get_business, business_id))


@router.post("/api/businesses", summary="Create a business", openapi_extra=body_schema(CreateBusiness))
async def create_business(
    caller: ManagesOrganization, body: Annotated[Body[CreateBusiness], json_body(CreateBusiness)]
) -> BusinessView:
    """Create a business. Customers can write to it immediately."""
    with _invalid_values():
        made = await caller.write(
            organizations.create_business, body.fields.changes(), actor=caller.actor(), now_ms=now_ms()
        )
    return _shown(made)


@router.post(
    "/api/businesses/{businessId}/update", summary="Change a business", openapi_extra=body_schema(UpdateBusiness)
)
async def update_business(
    caller: ManagesOrganization,
    business_id: BusinessId,
    body: Annotated[Body[UpdateBusiness], json_body(UpdateBusiness)],
) -> Ok:
    """Change the given fields of a business."""
    changes = body.fields.changes()
    with _invalid_values():
        await caller.write(organizations.update_business, business_id, changes, actor=caller.actor(), now_ms=now_ms())
    return Ok()


@router.post("/api/businesses/{businessId}/deactivate", summary="Deactivate a business")
async def deactivate_business(caller: ManagesOrganization, business_id: BusinessId) -> Ok:
    """Deactivate a business: for customers it no longer exists. Its conversations stay."""
    await caller.write(organizations.deactivate_business, business_id, actor=caller.actor(), now_ms=now_ms())
    return Ok()


@contextmanager
def _invalid_values() -> Iterator[None]:
    """Report the values that the block refuses as errors of the body.

    Raises:
        Invalid: 400.
    """
    try:
        yield
    except WrongValues as values:
        raise Invalid(values.errors) from None


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
