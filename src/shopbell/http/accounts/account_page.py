"""Render the pages of accounts, read their forms, and redirect between them."""

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import cast
from urllib.parse import quote

from fastapi import Request, Response
from fastapi.responses import HTMLResponse, RedirectResponse
from sqlalchemy import Connection

from shopbell.accounts.sessions import EmployeeSession, Stage
from shopbell.http.branding.templates import templates
from shopbell.http.request.app_services import Services
from shopbell.http.request.base_url import root_of
from shopbell.http.request.forms import read_form
from shopbell.http.request.language import preferred_language
from shopbell.http.request.origins import check_own_form
from shopbell.http.request.visitor_limits import address_of
from shopbell.i18n.translations import Texts, for_locale, msgid
from shopbell.runtime.clock import now_ms

ACCOUNT = "account"
INBOX = "inbox"
"""Where an employee gets after signing in, unless they were on their way to another page."""

NEXT_PAGES: dict[Stage, str] = {"code": "sign-in/code", "enrol": "account/app"}
"""What is still to be done, by the stage of the session."""

OIDC_FAULT = "fault=oidc"
"""The query of a page to which an employee returns after a failed sign-in at the provider."""

_OIDC_FAILED = msgid(
    "Signing in with {provider} did not work. Try again, or sign in another way. If you have an account here, you can "
    "then add {provider} to it under “My account”."
)
_NEXT_MAX_CHARACTERS = 500
# A list of what is allowed: browsers and Python disagree on what else leads to another site.
_NEXT = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9_/.~%-]*(?:\?[A-Za-z0-9_/.~%=&+,:@-]*)?")
_SEE_OTHER = 303
_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; connect-src 'self'; style-src 'self'; img-src 'self' data:; "
        "base-uri 'none'; form-action 'self'; frame-ancestors 'none'; "
        "require-trusted-types-for 'script'; trusted-types 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",  # a form must send its origin
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), publickey-credentials-get=(self)",
    "X-Robots-Tag": "noindex",
    "Cache-Control": "no-store",
}

_FOLDER = Path(__file__).parents[2] / "web" / "accounts"


def services_of(request: Request) -> Services:
    """Return what the routes work with."""
    return cast("Services", request.app.state.services)


def texts_of(request: Request) -> Texts:
    """The language that the browser prefers."""
    return for_locale(preferred_language(request))


async def read_attempt(request: Request) -> tuple[Services, dict[str, str]]:
    """Read a form with a password or a code, which counts as an attempt to sign in from the network address.

    Raises:
        OriginRefused: 403.
        QuotaExceeded: 429; the network address has sent too many requests.
    """
    services = services_of(request)
    check_own_form(request, services)
    services.limits.sign_ins_of_address.take(address_of(request))
    return services, await read_form(request)


async def run_sensitive(
    request: Request, work: Callable[[Connection, EmployeeSession, Mapping[str, str]], None]
) -> Response:
    """Run a sensitive action in a transaction if the session has a fresh factor; otherwise ask for one.

    Raises:
        OriginRefused: 403.
        StorageError: 503.
    """
    services = services_of(request)
    check_own_form(request, services)
    fields = await read_form(request)
    session = (await services.employees.signed_in(request.scope)).session
    if not session.is_fresh(now_ms()):
        return redirect(request, "account/confirm")
    await services.database.write(work, session, fields)
    return redirect(request, ACCOUNT)


def page(request: Request, template: str, *, status: int = 200, **values: object) -> Response:
    """Render a page in the language of the browser.

    Args:
        template: its name in ``web/accounts``.
        values: variables in addition to ``root``, ``locale``, ``dir``, ``gettext`` and ``provider``.
    """
    texts, provider = texts_of(request), services_of(request).oidc
    html = (
        templates(_FOLDER)
        .get_template(template)
        .render(
            root=root_of(request),
            locale=texts.tag,
            dir=texts.direction,
            gettext=texts.gettext,
            ngettext=texts.ngettext,
            provider=provider and provider.name,
            **values,
        )
    )
    return HTMLResponse(html, status, _HEADERS)


def redirect(request: Request, to: str) -> RedirectResponse:
    """Redirect to a page, given its path from the root of the server, without a slash at its start."""
    return RedirectResponse(root_of(request) + to or "./", _SEE_OTHER, {"Cache-Control": "no-store"})


def signed_in(request: Request, secret: str, stage: Stage, next_page: str = "") -> Response:
    """Give the browser its session, and send it to the next page."""
    to = NEXT_PAGES.get(stage)
    to = next_page or INBOX if to is None else to + (f"?next={quote(next_page)}" if next_page else "")
    response = redirect(request, to)
    services_of(request).employees.give_cookie(request, response, secret)
    return response


def next_of(text: str) -> str:
    """The page to which an employee was on the way, from a parameter; empty unless it is one of this server.

    Args:
        text: a path from the root of the server, without a slash at its start.
    """
    return text if len(text) <= _NEXT_MAX_CHARACTERS and _NEXT.fullmatch(text) else ""


def oidc_fault(request: Request) -> str | None:
    """The text about a failed sign-in with the provider, the same for every reason."""
    provider = services_of(request).oidc
    if provider is None or OIDC_FAULT not in request.scope["query_string"].decode("latin-1").split("&"):
        return None
    return texts_of(request).gettext(_OIDC_FAILED, provider=provider.name)
