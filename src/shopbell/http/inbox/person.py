"""The employee in whose name a request acts."""

from typing import Annotated, Literal

from fastapi import Query
from pydantic import Field

from shopbell.errors import FieldError, Invalid
from shopbell.http.request.caller import Caller
from shopbell.http.request.fields import MUST_EXIST, Fields, Id

ActingEmployee = Annotated[
    Id | None,
    Query(
        alias="employeeUserId",
        description="The employee in whose name a token acts. An employee who is signed in acts as themselves.",
        json_schema_extra=MUST_EXIST,
    ),
]


class ActingAs(Fields):
    """Who acts."""

    employee_user_id: Id | None = Field(
        None, description="The employee in whose name a token acts.", examples=["12351"]
    )


def person(caller: Caller, employee_id: int | None, *, source: Literal["body", "query"] = "body") -> int:
    """Return the employee who is signed in, or whose id a token sends.

    Args:
        employee_id: as sent.
        source: the part of the request that names the employee.

    Raises:
        Invalid: 400; a token names none.
        ActsAsAnother: 403; an employee who is signed in names another one.
    """
    acting = caller.acting(employee_id)
    if acting is None:
        raise Invalid([FieldError("employeeUserId", "required", "is required with an API token", source=source)])
    return acting
