"""Show errors on the pages of employees as pages.

Scripts get JSON from the routes below ``/api``.
"""

from urllib.parse import quote

from fastapi import Request, Response

from shopbell.errors import RequestError
from shopbell.http.accounts.account_page import page, redirect, texts_of
from shopbell.http.request.employee_sessions import NotSignedIn
from shopbell.http.request.principal import RoleLacks
from shopbell.http.request.problem_types import problem_type
from shopbell.http.request.problems import headers_of
from shopbell.i18n.translations import msgid

_PATHS = ("/sign-in", "/sign-out", "/account", "/invitations/", "/oidc/", "/inbox")
_ELSE = msgid("Something went wrong"), msgid("Please go back and try again.")
_NO_RIGHT = msgid("Your role does not allow this"), msgid("Please ask an owner of your organization.")
_BY_STATUS = {
    403: (msgid("This form could not be sent"), msgid("Please open the page again and try again.")),
    404: (msgid("This page does not exist"), msgid("Please check the address.")),
    429: (msgid("Too many requests"), msgid("Please wait a moment and try again.")),
    503: (msgid("This page is temporarily unavailable"), msgid("Please try again in a moment.")),
}


def is_wanted(request: Request) -> bool:
    """Whether a browser requests one of the pages of employees."""
    return request.scope["path"].startswith(_PATHS) and "text/html" in request.headers.get("accept", "")


def error_page(request: Request, error: RequestError) -> Response:
    """A page that says what happened and what to do; the sign-in page if there is no session any more.

    Args:
        request: what failed.
        error: why; the page has its status and its headers, such as ``Retry-After``.
    """
    if isinstance(error, NotSignedIn):
        back = _place_of(request) if request.method in ("GET", "HEAD") else ""
        return redirect(request, f"sign-in?next={quote(back)}" if back else "sign-in")
    status = problem_type(error).status
    heading, advice = _NO_RIGHT if isinstance(error, RoleLacks) else _BY_STATUS.get(status, _ELSE)
    texts = texts_of(request)
    response = page(request, "error.html", status=status, heading=texts.gettext(heading), advice=texts.gettext(advice))
    response.headers.update(headers_of(error))
    return response


def _place_of(request: Request) -> str:
    path: str = request.scope["path"]
    query: bytes = request.scope["query_string"]
    return path.lstrip("/") + (f"?{query.decode('latin-1')}" if query else "")
