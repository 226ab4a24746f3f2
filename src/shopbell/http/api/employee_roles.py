"""Roles of employees, as the API shows them."""

from typing import Literal, cast

from pydantic import Field

from shopbell.accounts.roles import Roles
from shopbell.http.request.fields import Fields, Id

Role = Literal["owner", "manager", "member"]


class BusinessRole(Fields):
    """The role in one business."""

    business_id: Id = Field(examples=["12345"])
    role: Role = Field(examples=["member"])


class BusinessRoleOut(Fields):
    """The role in one business."""

    business_id: str = Field(examples=["12345"])
    role: Role = Field(examples=["member"])


def shown_role(role: str | None) -> Role | None:
    """Return a stored role."""
    return cast("Role | None", role)  # the database allows no other


def shown_business_roles(roles: Roles) -> list[BusinessRoleOut]:
    """Return the roles in single businesses, by the id of the business."""
    return [
        BusinessRoleOut(business_id=str(id_), role=cast("Role", role)) for id_, role in sorted(roles.businesses.items())
    ]
