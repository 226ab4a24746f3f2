"""``POST /api/customer/identify`` and ``…/survey``: what a customer says of himself, and of the store."""

from typing import Annotated

from fastapi import APIRouter
from pydantic import Field, StringConstraints
from sqlalchemy import Connection

from shopbell import identity, organizations, visitors
from shopbell.customer_sessions import CustomerSession
from shopbell.errors import Fault, Invalid
from shopbell.http.api.body import Body, described, takes
from shopbell.http.api.fields import Email, Fields, FilledLine
from shopbell.http.api.results import Ok
from shopbell.http.customer.access import CustomersBrowser
from shopbell.http.customer.sessions import TAG

router = APIRouter(tags=[TAG])


class Identify(Fields):
    """What a visitor says of himself; nobody has confirmed it."""

    email: Email | None = Field(None, description="Where he can be answered.", examples=["carol@example.com"])
    phone_number: Annotated[str, StringConstraints(max_length=identity.PHONE_MAX_CHARACTERS)] | None = Field(
        None, description="Where else.", examples=["+15551234567"]
    )
    first_name: FilledLine | None = Field(None, examples=["Carol"])
    last_name: FilledLine | None = Field(None)


@router.post("/api/customer/identify", summary="Say who one is", openapi_extra=described(Identify))
async def identify(visitor: CustomersBrowser, body: Annotated[Body[Identify], takes(Identify)]) -> Ok:
    """Keep what a visitor says of himself, marked as unconfirmed: he does not become another customer by it."""
    fields = body.fields
    phone = None
    if fields.phone_number is not None:
        region = await visitor.read(_region)
        try:
            phone = identity.normal_phone(fields.phone_number, region)
        except ValueError as error:
            raise Invalid([Fault("body", "#/phoneNumber", "invalid_phone_number", str(error))]) from None
    await visitor.write(
        visitors.introduce,
        email=fields.email,
        phone=phone,
        first_name=fields.first_name,
        last_name=fields.last_name,
    )
    return Ok()


def _region(tx: Connection, session: CustomerSession) -> str | None:
    """Whose numbers are written without a country code."""
    if session.business_id is None:
        return None
    business = organizations.find_business(tx, session.organization_id, session.business_id)
    return None if business is None else business.default_region
