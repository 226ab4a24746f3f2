"""Customers: who they are, whether anybody wants to hear them, and what the law gives them."""

from collections.abc import AsyncIterator
from typing import Annotated, Literal

from fastapi import APIRouter, Path, Query
from fastapi.responses import StreamingResponse
from pydantic import Field
from sqlalchemy import Connection
from starlette.concurrency import iterate_in_threadpool

from shopbell import blocks, customer_export, customers, erasure, identity, surveys
from shopbell.customers import Profile
from shopbell.errors import Fault, Invalid
from shopbell.http.api.access import Caller, ReadsCustomers, WritesCustomers
from shopbell.http.api.body import Body, described, takes
from shopbell.http.api.fields import Fields, FilledLine, Line, PathId
from shopbell.http.api.paging import LIMIT_DEFAULT, Cursor, Limit, cursor_of, place_of
from shopbell.http.api.results import Ok

router = APIRouter(tags=["customers"])

Channel = Literal["WEB", "EMAIL", "SMS", "WHATSAPP"]
CustomerOfPath = Annotated[
    PathId,
    Path(
        alias="customerId",
        description="The customer; for one who was merged into another, that other one.",
        examples=["12346"],
    ),
]


class CustomerDatum(Fields):
    """Something that is known of a customer."""

    name: str = Field(examples=["COMPANY"])
    value: str = Field(examples=["Acme"])


class SurveyAnswer(Fields):
    """What a customer answered when he was asked."""

    created_at: int = Field(examples=[1700000000000])
    text: str = Field(examples=["8"])


class LastSurveys(Fields):
    """The customer's last answers; `null` for what he was never asked."""

    nps: SurveyAnswer | None = Field(None, examples=[None])
    preferred_channel: SurveyAnswer | None = Field(None, examples=[None])


class CustomerProfile(Fields):
    """A customer as employees see him."""

    id: str = Field(examples=["12346"])
    type: Literal["prospect"] = Field("prospect", examples=["prospect"])
    editable: bool = Field(description="Whether the profile can be changed; not after it was erased.", examples=[True])
    picture_href: str | None = Field(None, examples=[None])
    display_name: str = Field(
        description="The first of these that there is: name, company, e-mail address, phone number, id.",
        examples=["Carol Jones"],
    )
    email_address: str | None = Field(examples=["carol@example.com"])
    phone_number: str | None = Field(description="In E.164.", examples=["+15551234567"])
    first_name: str | None = Field(examples=["Carol"])
    last_name: str | None = Field(examples=["Jones"])
    company: str | None = Field(examples=["Acme"])
    channel: Channel = Field(description="That of the conversation which changed last.", examples=["WEB"])
    customer_data: list[CustomerDatum]
    last_surveys: LastSurveys


class UpdateProfile(Fields):
    """What to change of a profile; what is absent stays, an empty text takes a field away."""

    first_name: Line | None = Field(None, description="The customer's first name.", examples=["Carol"])
    last_name: Line | None = Field(None, description="The customer's last name.", examples=["Jones"])
    company: Line | None = Field(None, description="Whom the customer works for.", examples=["Acme"])


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
    blocked_at: int | None = Field(description="Since when he is blocked; `null` when he is not.", examples=[None])


class CustomerList(Fields):
    """A page of customers, the newest first."""

    customers: list[CustomerEntry]
    next_cursor: str | None = Field(description="The `cursor` of the next page; `null` on the last.", examples=[None])


@router.get("/api/customers", summary="Search customers")
async def list_customers(
    caller: ReadsCustomers,
    email: Annotated[
        str | None, Query(max_length=identity.EMAIL_MAX_CHARACTERS, description="Only who has this e-mail address.")
    ] = None,
    phone_number: Annotated[
        str | None,
        Query(alias="phoneNumber", max_length=40, description="Only who has this phone number, with its country code."),
    ] = None,
    name: Annotated[
        FilledLine | None,
        Query(
            description="Only whose name or company has this text in it, whatever the case, accents and spaces: `jose` "
            "finds `José`. Each page looks among "
            f"{customers.NAMES_AT_ONCE:,} customers: it may have few or none, while `nextCursor` leads to more."
        ),
    ] = None,
    cursor: Cursor = None,
    limit: Limit = LIMIT_DEFAULT,
) -> CustomerList:
    """List the organization's customers, the newest first.

    Filters go together. Who was merged into another or erased is left out. A customer who comes while the pages are
    read stands before the first of them: none is read twice, and none is left out.
    """
    place = place_of(cursor, int)
    before_id = None if place is None else int(place[0])
    address, number = _wanted(email, phone_number)
    found, go_on = await caller.read(
        customers.search, email=address, phone=number, name=name, before_id=before_id, limit=limit
    )
    return CustomerList(
        customers=[_entry(each) for each in found], next_cursor=None if go_on is None else cursor_of(go_on)
    )


def _wanted(email: str | None, phone: str | None) -> tuple[str | None, str | None]:
    """The address and the number in normal form.

    Raises:
        Invalid: 400; with both faults.
    """
    faults = []
    address = number = None
    if email is not None:
        try:
            address = identity.normal_email(email)
        except ValueError as error:
            faults.append(Fault("query", "email", "invalid_email", str(error)))
    if phone is not None:
        try:
            # In a query a plus that was not encoded arrives as a space.
            is_plus_lost = phone.startswith(" ") and not identity.is_international(phone)
            number = identity.normal_phone(f"+{phone[1:]}" if is_plus_lost else phone, None)
        except ValueError as error:
            faults.append(Fault("query", "phoneNumber", "invalid_phone_number", str(error)))
    if faults:
        raise Invalid(faults)
    return address, number


@router.get("/api/customers/{customerId}/profile", summary="Read a customer's profile")
async def get_customer_profile(caller: ReadsCustomers, customer_id: CustomerOfPath) -> CustomerProfile:
    """Read what is known of a customer. One who was merged into another is that other one."""
    return await read_profile(caller, customer_id)


async def read_profile(caller: Caller, customer_id: int) -> CustomerProfile:
    """The profile of a customer of the caller's organization.

    Raises:
        NotFound: 404.
        StorageError: 503.
    """
    profile, answered = await caller.read(_profile, customer_id)
    customer, nps = profile.customer, answered.get("nps")
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
        channel=profile.channel,  # type: ignore[arg-type]  # the table takes no other
        customer_data=[CustomerDatum(name=name, value=value) for name, value in data if value],
        last_surveys=LastSurveys(nps=SurveyAnswer(created_at=nps.at_ms, text=str(nps.score)) if nps else None),
    )


def _profile(tx: Connection, organization_id: int, customer_id: int) -> tuple[Profile, dict[str, surveys.Answered]]:
    profile = customers.profile(tx, organization_id, customer_id)
    return profile, surveys.last_answers(tx, organization_id, profile.customer.id)


@router.post(
    "/api/customers/{customerId}/profile/update",
    openapi_extra=described(UpdateProfile),
    summary="Update a customer's profile",
)
async def update_customer_profile(
    caller: WritesCustomers, customer_id: CustomerOfPath, body: Annotated[Body[UpdateProfile], takes(UpdateProfile)]
) -> Ok:
    """Change what is given of a customer's name and company; what is absent stays, an empty text takes a field away."""
    await caller.write(customers.update_profile, customer_id, body.fields.given())
    return Ok()


@router.post("/api/customers/{customerId}/block", summary="Block a customer")
async def block_customer(caller: WritesCustomers, customer_id: CustomerOfPath) -> Ok:
    """Hear a customer no more.

    What he sends from now on is answered as ever, and kept apart where nobody sees it: no message, no event, no
    webhook, no change of any conversation.
    """
    await caller.write(blocks.set_blocked, customer_id, caller.name, blocked=True)
    return Ok()


@router.post("/api/customers/{customerId}/unblock", summary="Unblock a customer")
async def unblock_customer(caller: WritesCustomers, customer_id: CustomerOfPath) -> Ok:
    """Hear a customer again, from his next message on. What he sent while he was blocked does not come back."""
    await caller.write(blocks.set_blocked, customer_id, caller.name, blocked=False)
    return Ok()


@router.post("/api/customers/{customerId}/erase", summary="Erase a customer")
async def erase_customer(caller: WritesCustomers, customer_id: CustomerOfPath) -> Ok:
    """Take away for good all that is personal, of this customer and of all who were merged into him.

    Names, addresses, numbers, the texts and files of his conversations, and what webhooks were sent of them. The
    conversations stay, empty, and are counted as before. Who writes from the same address later is somebody new. The
    answer comes when all is done; where it does not come, ask again.
    """
    person = await caller.write(erasure.forget, customer_id, caller.name)
    for wipe in erasure.WIPES:
        place: erasure.Place | None = ()
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
    """Everything that is kept of a customer, as one JSON document: his profile, by what he is known, and all
    conversations with all their messages, notes between employees and what he sent while he was blocked included."""
    document = await caller.read(customer_export.begin, customer_id)
    pieces = customer_export.pieces(caller.api.database.read_now, caller.organization_id, document)

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
