"""The first dependency of every API route. It checks token or session, rate and permission, in this order."""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Annotated, Any, Concatenate, ParamSpec, Self, TypeVar, cast

from fastapi import Depends, Request
from sqlalchemy import Connection

from shopbell.attachments import attachments
from shopbell.conversations import threads
from shopbell.customers import visibility
from shopbell.db.businesses import Businesses
from shopbell.errors import NotFound, RequestError
from shopbell.events.actors import Actor
from shopbell.http.request.app_services import Services
from shopbell.http.request.authentication import Headers
from shopbell.http.request.errors import Forbidden
from shopbell.http.request.origins import check_own_request
from shopbell.http.request.principal import Principal, authenticate
from shopbell.http.server.responses import RESPONSE_HEADERS

P = ParamSpec("P")
T = TypeVar("T")

_SAFE_METHODS = ("GET", "HEAD")


class ActsAsAnother(Forbidden):
    """403: an employee who is signed in may not act in the name of another one."""

    def __init__(self) -> None:
        RequestError.__init__(
            self, "You can only act as yourself.", "'employeeUserId' is not the employee who is signed in"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller(Principal):
    """The program or the employee that sent a request, and what the route works with.

    Args:
        services: what the routes work with.
        businesses: the businesses in which the caller has the permission that the route needs; None for all. Only a
            route that declares ``Some…`` gets single businesses. It must restrict its lists to them, and call
            ``check_thread`` or ``check_customer`` for each id in the request.
    """

    services: Services
    businesses: Businesses

    @property
    def permissions(self) -> frozenset[str]:
        """What the caller may do in all businesses of the organization."""
        return self.grants.everywhere

    @property
    def name(self) -> str:
        """The name of the caller in the audit log."""
        return self.actor().name

    def actor(self, employee_id: int | None = None) -> Actor:
        """The actor of the request's events: an employee or the token.

        Raises:
            ActsAsAnother: 403; an employee who is signed in names another one.
        """
        acting = self.acting(employee_id)
        return Actor("token", self.id) if acting is None else Actor("employee", acting)

    def acting(self, employee_id: int | None) -> int | None:
        """The employee in whose name the request acts: the one who is signed in, or the one that a token names.

        Raises:
            ActsAsAnother: 403; an employee who is signed in names another one.
        """
        if self.employee_id is None or employee_id is None:
            return self.employee_id if employee_id is None else employee_id
        if employee_id != self.employee_id:
            raise ActsAsAnother
        return employee_id

    def require(self, permission: str) -> None:
        """Require a permission in all businesses of the organization.

        Raises:
            Forbidden: 403; the caller lacks it.
        """
        if permission not in self.permissions:
            raise self.lacks(permission)

    def limited_to(self, permission: str) -> Self:
        """The same caller, restricted to the businesses in which they have a permission.

        Raises:
            Forbidden: 403; there is none.
        """
        return replace(self, businesses=self.businesses_with(permission))

    async def check_thread(self, thread_id: int, field: str = "customerThreadId") -> None:
        """Check that a conversation is with one of ``businesses``.

        Args:
            thread_id: the conversation.
            field: the field or parameter that names it, for the error.

        Raises:
            NotFound: 404; as if it did not exist.
            StorageError: 503.
        """
        if self.businesses is not None:
            await self.read(threads.check_within, thread_id, self.businesses, field=field)

    async def check_customer(self, customer_id: int) -> None:
        """Check that a customer has a conversation with one of ``businesses``.

        Raises:
            NotFound: 404; as if they did not exist.
            StorageError: 503.
        """
        if self.businesses is not None:
            await self.read(visibility.check_within, customer_id, self.businesses)

    async def check_attachment(self, attachment_id: int, field: str = "attachmentId") -> None:
        """Like ``check_thread``, for a file that this caller sees in one of ``businesses`` or has uploaded."""
        if self.businesses is not None:
            await self.read(attachments.check_within, attachment_id, self.businesses, uploader_id=self.id, field=field)

    def check_business(self, business_id: int, field: str = "businessId") -> None:
        """Check that a business is one of ``businesses``.

        Raises:
            NotFound: 404; as if it did not exist.
        """
        if self.businesses is not None and business_id not in self.businesses:
            raise NotFound(field)

    async def read(self, fn: Callable[Concatenate[Connection, int, P], T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Run ``fn(tx, organization_id, …)`` in one read-only transaction.

        Raises:
            StorageError: 503.
        """
        return await self.services.read_pool.read(fn, self.organization_id, *args, **kwargs)

    async def write(self, fn: Callable[Concatenate[Connection, int, P], T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Run ``fn(tx, organization_id, …)`` in one transaction, then publish that the organization has news.

        Raises:
            StorageError: 503.
        """
        result = await self.services.database.write(fn, self.organization_id, *args, **kwargs)
        self.services.pubsub.publish([self.organization_id])
        return result


async def caller_of(request: Request, headers: Headers, scope: str | None, *, some: bool = False) -> Caller:
    """Return the caller of a request, and add the rate limit to its response.

    Args:
        request: the request.
        headers: the headers with the token, with names in lower case. Without a token, the cookie of an employee
            counts.
        scope: the permission that the route needs, one of ``api_tokens.SCOPES``; None if it needs none.
        some: whether the permission in single businesses is enough. The route then restricts itself to
            ``Caller.businesses``.

    Raises:
        Unauthorized: 401.
        OriginRefused: 403; a session is used by a page of another site.
        QuotaExceeded: 429.
        Forbidden: 403; the caller lacks the permission.
        StorageError: 503.
    """
    services = cast("Services", request.app.state.services)
    principal = await authenticate(services.authentication, services.employees, request.scope, headers)
    if principal.employee_id is not None and request.method not in _SAFE_METHODS:
        check_own_request(request, services)
    allowance = services.rate_limit.take(principal.id, time.monotonic())
    request.scope["state"][RESPONSE_HEADERS] = allowance.headers
    allowance.check()
    businesses = frozenset[int]() if scope is None else principal.businesses_with(scope)
    if scope is not None and not some and businesses is not None:
        raise principal.lacks(scope)
    return Caller(
        organization_id=principal.organization_id,
        id=principal.id,
        employee_id=principal.employee_id,
        grants=principal.grants,
        services=services,
        session_id=principal.session_id,
        businesses=businesses,
    )


def require_scope(scope: str | None, *, some: bool = False) -> Any:
    """Return a dependency that finds the caller and requires a scope.

    It must be the first dependency of the route.

    Args:
        scope: one of ``api_tokens.SCOPES``; None if a valid token or session is enough.
        some: whether the permission in single businesses is enough, as in ``caller_of``.

    Raises:
        Unauthorized: 401.
        OriginRefused: 403; a session is used by a page of another site.
        QuotaExceeded: 429.
        Forbidden: 403; the caller lacks the permission.
        StorageError: 503.
    """

    async def find_caller(request: Request) -> Caller:
        return await caller_of(request, request.scope["headers"], scope, some=some)

    find_caller.scope, find_caller.some = scope, some  # type: ignore[attr-defined]  # for the API reference
    return Depends(find_caller)


# A route that declares ``Some…`` serves employees with roles in single businesses: see ``Caller.businesses``.
IsCaller = Annotated[Caller, require_scope(None)]
SendsMessages = Annotated[Caller, require_scope("widget:send")]
ReadsThreads = Annotated[Caller, require_scope("threads:read")]
ReadsSomeThreads = Annotated[Caller, require_scope("threads:read", some=True)]
WritesThreads = Annotated[Caller, require_scope("threads:write")]
WritesSomeThreads = Annotated[Caller, require_scope("threads:write", some=True)]
ReadsCustomers = Annotated[Caller, require_scope("customers:read")]
ReadsSomeCustomers = Annotated[Caller, require_scope("customers:read", some=True)]
WritesCustomers = Annotated[Caller, require_scope("customers:write")]
WritesSomeCustomers = Annotated[Caller, require_scope("customers:write", some=True)]
ManagesInbox = Annotated[Caller, require_scope("inbox:manage")]
ManagesSomeInbox = Annotated[Caller, require_scope("inbox:manage", some=True)]
ManagesWebhooks = Annotated[Caller, require_scope("webhooks:manage")]
ManagesSomeEmployees = Annotated[Caller, require_scope("employees:manage", some=True)]
ReadsAudit = Annotated[Caller, require_scope("audit:read")]
ManagesOrganization = Annotated[Caller, require_scope("organization:manage")]
