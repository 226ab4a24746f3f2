"""What every route of the conversations API begins with: token → rate → scope, as the widget route does."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, Concatenate, ParamSpec, TypeVar, cast

from fastapi import Depends, Request
from sqlalchemy import Connection

from shopbell.attachment_links import AttachmentLinks
from shopbell.blobs.store import Store
from shopbell.http.api.browsing import Browsing
from shopbell.http.api.waiting import Waiting
from shopbell.http.authentication import Authentication, Headers, require_scope
from shopbell.http.customer.access import CustomerAccess
from shopbell.http.customer.limits import VisitorLimits
from shopbell.http.problems import ANSWER_HEADERS
from shopbell.http.rate import RateLimit
from shopbell.keys import Keys
from shopbell.replies import Outcome, Reply
from shopbell.settings import Settings
from shopbell.storage.database import Database
from shopbell.storage.group_commit import GroupCommit
from shopbell.tokens import Token
from shopbell.wakes.hub import Wakes

P = ParamSpec("P")
T = TypeVar("T")


@dataclass(frozen=True)
class Api:
    """What the routes work with; made once, by ``app.py``.

    Args:
        settings: those of this process.
        database: where everything is.
        browsing: reads it for programs.
        keys: the installation's keys.
        authentication: finds tokens.
        rate_limit: the rates of all tokens; the widget route counts there, too.
        replies: the group commit that stores the organization's own messages.
        wakes: whoever waits for news.
        waiting: the requests that do.
        blobs: the bytes of attachments; None where the operator has named no place for them.
        links: makes links to attachments.
        sessions: finds the sessions of customers' browsers and apps.
        limits: how much those may ask for.
    """

    settings: Settings
    database: Database
    browsing: Browsing
    keys: Keys
    authentication: Authentication
    rate_limit: RateLimit
    replies: GroupCommit[Reply, Outcome]
    wakes: Wakes
    waiting: Waiting
    blobs: Store | None
    links: AttachmentLinks
    sessions: CustomerAccess
    limits: VisitorLimits


@dataclass(frozen=True, slots=True)
class Caller:
    """Who sent a request, and what may be done in his name.

    Args:
        token: a valid token with the route's scope.
        api: what the routes work with.
    """

    token: Token
    api: Api

    @property
    def organization_id(self) -> int:
        """The token's organization: whatever else there is does not exist for this caller."""
        return self.token.organization_id

    @property
    def name(self) -> str:
        """How the audit names him."""
        return f"token {self.token.id}"

    async def read(self, fn: Callable[Concatenate[Connection, int, P], T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Run ``fn(tx, organization_id, …)`` in one transaction that only reads.

        Raises:
            StorageError: 503.
        """
        return await self.api.browsing.read(fn, self.organization_id, *args, **kwargs)

    async def write(self, fn: Callable[Concatenate[Connection, int, P], T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Run ``fn(tx, organization_id, …)`` in one transaction, and wake whoever waits for news of it.

        Raises:
            StorageError: 503.
        """
        result = await self.api.database.write(fn, self.organization_id, *args, **kwargs)
        self.api.wakes.announce([self.organization_id])
        return result


async def caller_of(request: Request, headers: Headers, scope: str) -> Caller:
    """Find who sent a request.

    Args:
        request: the request; its answer gets the headers of the rate limit.
        headers: where the header `token` is, with names in lower case.
        scope: what the token must be allowed to do; one of ``tokens.SCOPES``.

    Raises:
        Unauthorized: 401.
        QuotaExceeded: 429.
        Forbidden: 403, the token lacks the scope.
        StorageError: 503.
    """
    api = cast("Api", request.app.state.api)
    token = await api.authentication.token_of(headers)
    allowance = api.rate_limit.take(token.id, time.monotonic())
    request.scope["state"][ANSWER_HEADERS] = allowance.headers
    allowance.check()
    require_scope(token, scope)
    return Caller(token, api)


def needs(scope: str) -> Any:
    """The dependency that finds the caller and lets only tokens with a scope go on. It must be a route's first.

    Args:
        scope: one of ``tokens.SCOPES``.

    Raises:
        Unauthorized: 401.
        QuotaExceeded: 429.
        Forbidden: 403, the token lacks the scope.
        StorageError: 503.
    """

    async def find_caller(request: Request) -> Caller:
        return await caller_of(request, request.scope["headers"], scope)

    find_caller.scope = scope  # type: ignore[attr-defined]  # the reference names it
    return Depends(find_caller)


SendsMessages = Annotated[Caller, needs("widget:send")]
ReadsThreads = Annotated[Caller, needs("threads:read")]
WritesThreads = Annotated[Caller, needs("threads:write")]
ReadsCustomers = Annotated[Caller, needs("customers:read")]
WritesCustomers = Annotated[Caller, needs("customers:write")]
ManagesWebhooks = Annotated[Caller, needs("webhooks:manage")]
ManagesOrganization = Annotated[Caller, needs("organization:manage")]
