"""Errors as pages: what a browser shows to people who follow a link of ours. Programs get JSON from the same routes."""

from fastapi import Request
from fastapi.responses import HTMLResponse, Response

from shopbell.errors import RequestError
from shopbell.http.branding import branded_page
from shopbell.http.request.base_url import root_of
from shopbell.http.request.language import preferred_language
from shopbell.http.request.problem_types import problem_type
from shopbell.http.request.problems import headers_of
from shopbell.i18n.translations import for_locale, msgid

_FILES = "/attachments/"
_PATHS = ("/answer/", "/c/", "/t/", "/unsubscribe/", _FILES)

_NO_FILE = (
    msgid("This file is no longer available"),
    msgid("Links to files work only for a limited time. Open the conversation again to get a new link."),
)
_ELSE = msgid("Something went wrong"), msgid("Please go back and try again.")
_BY_STATUS = {
    403: (
        msgid("This form could not be sent"),
        msgid("Please open the page again from our message and try again."),
    ),
    404: (
        msgid("This link does not work"),
        msgid("It may be incomplete or no longer valid. Please open the link in the most recent email we sent you."),
    ),
    429: (msgid("Too many requests"), msgid("Please wait a moment and try again.")),
    503: (
        msgid("This page is temporarily unavailable"),
        msgid("Please try again in a moment."),
    ),
}


def is_wanted(request: Request) -> bool:
    """Whether a browser requests one of the pages that messages link to."""
    return request.scope["path"].startswith(_PATHS) and "text/html" in request.headers.get("accept", "")


def error_page(request: Request, error: RequestError) -> Response:
    """A page that says what happened and what to do, in the browser's language.

    Args:
        request: what failed.
        error: why; the page has its status and its headers, such as ``Retry-After``.
    """
    path = request.scope["path"]
    status = problem_type(error).status
    heading, advice = _NO_FILE if status == 404 and path.startswith(_FILES) else _BY_STATUS.get(status, _ELSE)
    texts = for_locale(preferred_language(request))
    html = branded_page.render(
        "error.html",
        texts,
        None,
        root=root_of(request),
        heading=texts.gettext(heading),
        advice=texts.gettext(advice),
    )
    headers = {**branded_page.headers(None), **headers_of(error), "Cache-Control": "no-store"}
    return HTMLResponse(html, status, headers)
