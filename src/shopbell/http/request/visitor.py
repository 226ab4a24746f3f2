"""The customer whose browser or app sent a request."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, Concatenate, ParamSpec, TypeVar, cast

from fastapi import Depends, Request
from sqlalchemy import Connection

from shopbell.customers.sessions import CustomerSession
from shopbell.http.request.app_services import Services

P = ParamSpec("P")
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Visitor:
    """The customer, verified or not, who sent a request.

    Args:
        session: a valid session.
        services: what the routes work with.
    """

    session: CustomerSession
    services: Services

    @property
    def organization_id(self) -> int:
        """The organization of the session: the only one that exists for this visitor."""
        return self.session.organization_id

    async def read(
        self, fn: Callable[Concatenate[Connection, CustomerSession, P], T], /, *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Run ``fn(tx, session, …)`` in one read-only transaction.

        Raises:
            StorageError: 503.
        """
        return await self.services.database.read(fn, self.session, *args, **kwargs)

    async def write(
        self, fn: Callable[Concatenate[Connection, CustomerSession, P], T], /, *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Run ``fn(tx, session, …)`` in one transaction, then publish that the organization has news.

        Raises:
            StorageError: 503.
        """
        result = await self.services.database.write(fn, self.session, *args, **kwargs)
        self.services.pubsub.publish([self.organization_id])
        return result


async def _find_visitor(request: Request) -> Visitor:
    services = cast("Services", request.app.state.services)
    session = await services.sessions.session_of(request.scope)
    services.limits.requests.take(session.id)
    return Visitor(session, services)


IsVisitor: Any = Depends(_find_visitor)
"""The dependency that finds the session of a request. It must be the first dependency of the route.

Raises:
    NoSession: 401.
    QuotaExceeded: 429.
    StorageError: 503.
"""

CurrentVisitor = Annotated[Visitor, IsVisitor]
