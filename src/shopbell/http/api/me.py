"""``GET /api/me``: who calls, and what they may do and see."""

from fastapi import APIRouter
from pydantic import Field
from sqlalchemy import Connection

from shopbell.events import feed
from shopbell.http.request.caller import IsCaller
from shopbell.http.request.fields import Fields
from shopbell.organizations import employees, organizations
from shopbell.organizations.employees import Employee
from shopbell.organizations.organizations import Business, Organization

router = APIRouter(tags=["employees"])


class MyOrganization(Fields):
    """The organization of the caller."""

    organization_id: str = Field(examples=["12344"])
    name: str = Field(examples=["Acme"])
    requires_second_factor: bool = Field(
        description="Whether employees need a second factor to sign in.", examples=[False]
    )


class MyBusiness(Fields):
    """A business in which the caller may do something."""

    business_id: str = Field(examples=["12345"])
    name: str = Field(examples=["Acme Boston"])
    brand_color: str | None = Field(examples=["#0b5fff"])
    active: bool = Field(description="Whether customers can write to it.", examples=[True])
    permissions: list[str] = Field(description="What the caller may do there.", examples=[["threads:read"]])


class Colleague(Fields):
    """An employee of the organization."""

    employee_user_id: str = Field(examples=["12351"])
    name: str = Field(examples=["Alice Miller"])
    active: bool = Field(description="Whether the employee is active.", examples=[True])


class Me(Fields):
    """Who calls, and what they may do and see."""

    employee_user_id: str | None = Field(
        description="The employee who is signed in; `null` for an API token.", examples=["12351"]
    )
    name: str | None = Field(description="Of the employee.", examples=["Alice Miller"])
    email: str | None = Field(description="Of the employee.", examples=["alice@example.com"])
    organization: MyOrganization
    permissions: list[str] = Field(
        description="What the caller may do in all businesses, in the names of scopes.", examples=[["threads:read"]]
    )
    businesses: list[MyBusiness] = Field(description="The oldest first.")
    employees: list[Colleague] = Field(
        description="All employees, the oldest first. Empty without `threads:read` in any business."
    )
    stream_position: int = Field(
        ge=0, description="The `after` with which a stream continues from this response.", examples=[4711]
    )


@router.get("/api/me", summary="Read who calls")
async def get_me(caller: IsCaller) -> Me:
    """Return the caller, and what they may do and see.

    The caller is the employee who is signed in, or the token's organization. Every valid token and every session may
    call this.
    """
    grants = caller.grants
    reads_threads = "threads:read" in grants.everywhere.union(*grants.businesses.values())

    def look(tx: Connection, organization_id: int) -> tuple[int, Organization, list[Business], list[Employee]]:
        # The position is read first, so that changes during this function are in the stream.
        return (
            feed.last_position(tx, organization_id),
            organizations.get(tx, organization_id),
            organizations.find_businesses(tx, organization_id),
            employees.find_all(tx, organization_id),
        )

    position, organization, businesses, colleagues = await caller.read(look)
    me = next((each for each in colleagues if each.id == caller.employee_id), None)
    return Me(
        employee_user_id=None if me is None else str(me.id),
        name=None if me is None else me.name,
        email=None if me is None else me.email,
        organization=MyOrganization(
            organization_id=str(organization.id),
            name=organization.name,
            requires_second_factor=organization.requires_second_factor,
        ),
        permissions=sorted(grants.everywhere),
        businesses=[
            MyBusiness(
                business_id=str(each.id),
                name=each.name,
                brand_color=each.brand_color,
                active=each.active,
                permissions=sorted(within),
            )
            for each in businesses
            if (within := grants.within(each.id))
        ],
        employees=[
            Colleague(employee_user_id=str(each.id), name=each.name, active=each.active)
            for each in colleagues
            if reads_threads
        ],
        stream_position=position,
    )
