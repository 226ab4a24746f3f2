"""Search, read, change, block, erase and export customers."""

from collections.abc import AsyncIterator
from typing import Annotated, Literal

from fastapi import APIRouter, Path, Query
from fastapi.responses import StreamingResponse
from pydantic import Field
from sqlalchemy import Connection
from starlette.concurrency import iterate_in_threadpool

from shopbell.conversations import surveys
from shopbell.conversations.erasure import Place
from shopbell.customers import blocking, customers, export, search
from shopbell.customers.customers import Profile
from shopbell.customers.erasure import forget
from shopbell.errors import FieldError, Invalid
from shopbell.formats import identities
from shopbell.formats.channels import ChannelName
from shopbell.http.request.caller import (
    Caller,
    ReadsCustomers,
    ReadsSomeCustomers,
    WritesCustomers,
    WritesSomeCustomers,
)
from shopbell.http.request.fields import Fields, FilledLine, Line, PathId
from shopbell.http.request.json_body import Body, body_schema, json_body
from shopbell.http.request.paging import LIMIT_DEFAULT, Cursor, Limit, cursor_of, place_of
from shopbell.http.request.results import Ok
from shopbell.operations import erasure

router = APIRouter(tags=["customers"])

CustomerOfPath = Annotated[
    PathId,
    Path(
        alias="customerId",
        description="The customer. If it was merged, the customer that it was merged into.",
        examples=["12346"],
    ),
]


class CustomerDatum(Fields):
    """One attribute of a customer."""

    name: str = Field(examples=["COMPANY"])
    value: str = Field(examples=["Acme"])


class SurveyAnswer(Fields):
    """The answer of a customer to a survey."""

    created_at: int = Field(examples=[1700000000000])
    text: str = Field(examples=["8"])


class LastSurveys(Fields):
    """The last answers of the customer; `null` if there was no such survey."""

    nps: SurveyAnswer | None = Field(None, examples=[None])
    preferred_channel: SurveyAnswer | None = Field(None, examples=[None])


class CustomerProfile(Fields):
    """The profile of a customer."""

    id: str = Field(examples=["12346"])
    type: Literal["prospect"] = Field("prospect", examples=["prospect"])
    editable: bool = Field(description="Whether the profile can be changed. An erased one cannot.", examples=[True])
    picture_href: str | None = Field(None, examples=[None])
    display_name: str = Field(
        description="The first of these that is known: name, company, email address, phone number, id.",
        examples=["Carol Jones"],
    )
    email_address: str | None = Field(examples=["carol@example.com"])
    phone_number: str | None = Field(description="In E.164.", examples=["+15551234567"])
    first_name: str | None = Field(examples=["Carol"])
    last_name: str | None = Field(examples=["Jones"])
    company: str | None = Field(examples=["Acme"])
    channel: ChannelName = Field(description="The channel of the conversation that changed last.", examples=["WEB"])
    customer_data: list[CustomerDatum]
    last_surveys: LastSurveys


class UpdateProfile(Fields):
    """The fields of a profile to change. An empty string removes a field."""

    first_name: Line | None = Field(None, description="The customer's first name.", examples=["Carol"])
    last_name: Line | None = Field(None, description="The customer's last name.", examples=["Jones"])
    company: Line | None = Field(None, description="The employer of the customer.", examples=["Acme"])


class CustomerEntry(Fields):
    """A customer in a list. Times are Unix milliseconds."""

    id: str = Field(examples=["12346"])
    display_name: str = Field(examples=["Carol Jones"])
    first_name: str | None = Field(examples=["Carol"])
    last_name: str | None = Field(examples=["Jones"])
    company: str | None = Field(examples=["Acme"])
    email_addresses: list[str] = Field(examples=[["carol@example.com"]])
    phone_numbers: list[str] = Field(examples=[["+15551234567"]])
    locale: str | None = Field(examples=["en-US"])
    created_at: int = Field(examples=[1700000000000])
    blocked_at: int | None = Field(description="When the customer was blocked; `null` if not blocked.", examples=[None])


class CustomerList(Fields):
    """A page of customers, the newest first."""

    customers: list[CustomerEntry]
    next_cursor: str | None = Field(description="The `cursor` of the next page; `null` on the last.", examples=[None])


@router.get("/api/customers", summary="Search customers")
async def list_customers(
    caller: ReadsSomeCustomers,
    email: Annotated[
        str | None,
        Query(max_length=identities.EMAIL_MAX_CHARACTERS, description="Only the customer with this email address."),
    ] = None,
    phone_number: Annotated[
        str | None,
        Query(
            alias="phoneNumber",
            max_length=40,
            description="Only the customer with this phone number, with country code.",
        ),
    ] = None,
    name: Annotated[
        FilledLine | None,
        Query(
            description="Only customers whose name or company contains this text, ignoring case, accents and spaces: "
            "`jose` finds `José`. Each page searches "
            f"{search.SEARCHED_AT_ONCE:,} customers: it may have few or no entries even if `nextCursor` leads to more."
        ),
    ] = None,
    cursor: Cursor = None,
    limit: Limit = LIMIT_DEFAULT,
) -> CustomerList:
    """List the organization's customers, the newest first.

    Filters are combined. Merged and erased customers are left out. Customers who are created while you read pages come
    before the first page: you read no customer twice and miss none.
    """
    place = place_of(cursor, int)
    before_id = None if place is None else int(place[0])
    address, number = _wanted(email, phone_number)
    found, go_on = await caller.read(
        search.find_page,
        email=address,
        phone=number,
        name=name,
        businesses=caller.businesses,
        before_id=before_id,
        limit=limit,
    )
    return CustomerList(
        customers=[_entry(each) for each in found], next_cursor=None if go_on is None else cursor_of(go_on)
    )


def _wanted(email: str | None, phone: str | None) -> tuple[str | None, str | None]:
    """Return the address and the number in normal form.

    Raises:
        Invalid: 400, with the errors of both.
    """
    errors = []
    address = number = None
    if email is not None:
        try:
            address = identities.normal_email(email)
        except ValueError as error:
            errors.append(FieldError("email", "invalid_email", str(error), source="query"))
    if phone is not None:
        try:
            # A plus that is not encoded in a query arrives as a space.
            is_plus_lost = phone.startswith(" ") and not identities.is_international(phone)
            number = identities.normal_phone(f"+{phone[1:]}" if is_plus_lost else phone, None)
        except ValueError as error:
            errors.append(FieldError("phoneNumber", "invalid_phone_number", str(error), source="query"))
    if errors:
        raise Invalid(errors)
    return address, number


@router.get("/api/customers/{customerId}/profile", summary="Read a customer's profile")
async def get_customer_profile(caller: ReadsSomeCustomers, customer_id: CustomerOfPath) -> CustomerProfile:
    """Read the profile of a customer. For a merged customer, read the one that it was merged into."""
    return await read_profile(caller, customer_id)


async def read_profile(caller: Caller, customer_id: int) -> CustomerProfile:
    """Return the profile of a customer of the caller's organization.

    Raises:
        NotFound: 404.
        StorageError: 503.
    """
    await caller.check_customer(customer_id)
    return await caller.read(look_up_profile, customer_id)


def look_up_profile(tx: Connection, organization_id: int, customer_id: int) -> CustomerProfile:
    """Return the profile of a customer of an organization.

    Raises:
        NotFound: 404.
    """
    profile = customers.profile(tx, organization_id, customer_id)
    customer = profile.customer
    nps = surveys.last_answers(tx, organization_id, customer.id).get("nps")
    data = (("COMPANY", customer.company), ("LOCALE", customer.locale))
    return CustomerProfile(
        id=str(customer.id),
        editable=customer.erased_at_ms is None,
        display_name=profile.display_name,
        email_address=profile.email,
        phone_number=profile.phone,
        first_name=customer.first_name,
        last_name=customer.last_name,
        company=customer.company,
        channel=profile.channel,
        customer_data=[CustomerDatum(name=name, value=value) for name, value in data if value],
        last_surveys=LastSurveys(nps=SurveyAnswer(created_at=nps.at_ms, text=str(nps.score)) if nps else None),
    )


@router.post(
    "/api/customers/{customerId}/profile/update",
    openapi_extra=body_schema(UpdateProfile),
    summary="Update a customer's profile",
)
async def update_customer_profile(
    caller: WritesSomeCustomers,
    customer_id: CustomerOfPath,
    body: Annotated[Body[UpdateProfile], json_body(UpdateProfile)],
) -> Ok:
    """Change the given fields of a profile. An empty string removes a field."""
    await caller.check_customer(customer_id)
    await caller.write(customers.update_profile, customer_id, body.fields.given(), actor=caller.actor())
    return Ok()


@router.post("/api/customers/{customerId}/block", summary="Block a customer")
async def block_customer(caller: WritesSomeCustomers, customer_id: CustomerOfPath) -> Ok:
    """Block a customer.

    Later messages of the customer still get the same response, but are stored separately: they create no message, no
    event and no webhook delivery, and change no conversation.
    """
    await caller.check_customer(customer_id)
    await caller.write(blocking.set_blocked, customer_id, blocked=True, actor=caller.actor())
    return Ok()


@router.post("/api/customers/{customerId}/unblock", summary="Unblock a customer")
async def unblock_customer(caller: WritesSomeCustomers, customer_id: CustomerOfPath) -> Ok:
    """Unblock a customer. Messages that they sent while blocked are not restored."""
    await caller.check_customer(customer_id)
    await caller.write(blocking.set_blocked, customer_id, blocked=False, actor=caller.actor())
    return Ok()


@router.post("/api/customers/{customerId}/erase", summary="Erase a customer")
async def erase_customer(caller: WritesCustomers, customer_id: CustomerOfPath) -> Ok:
    """Erase all personal data of a customer, and of all customers that were merged into this one, for good.

    This includes names, addresses, numbers, the texts and files of conversations, and the webhook payloads about them.
    The conversations stay, without content. A later message from the same address creates a new customer. The response
    comes when everything is erased. If it does not come, repeat the request.
    """
    person = await caller.write(forget, customer_id, actor=caller.actor())
    for wipe in erasure.WIPES:
        place: Place | None = ()
        while place is not None:
            place = await caller.write(wipe, person, place)
    return Ok()


@router.get(
    "/api/customers/{customerId}/export",
    summary="Export a customer",
    response_class=StreamingResponse,
    responses={200: {"description": "The customer.", "content": {"application/json": {"schema": {"type": "object"}}}}},
)
async def export_customer(caller: ReadsCustomers, customer_id: CustomerOfPath) -> StreamingResponse:
    """Export all data of a customer as one JSON document: profile, identities, and all conversations with all messages,
    including notes of employees and messages that were sent while the customer was blocked."""
    document = await caller.read(export.begin, customer_id)
    pieces = export.pieces(caller.services.database.read_now, caller.organization_id, document)

    async def content() -> AsyncIterator[bytes]:
        async for piece in iterate_in_threadpool(pieces):
            yield piece

    headers = {"Content-Disposition": f'attachment; filename="customer-{document["customer"]["id"]}.json"'}
    return StreamingResponse(content(), media_type="application/json", headers=headers)


def _entry(profile: Profile) -> CustomerEntry:
    customer = profile.customer
    return CustomerEntry(
        id=str(customer.id),
        display_name=profile.display_name,
        first_name=customer.first_name,
        last_name=customer.last_name,
        company=customer.company,
        email_addresses=[each.shown for each in profile.identities if each.kind == "email"],
        phone_numbers=[each.number for each in profile.identities if each.kind == "phone"],
        locale=customer.locale,
        created_at=customer.created_at_ms,
        blocked_at=customer.blocked_at_ms,
    )
