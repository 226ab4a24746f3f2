"""The start page, the pages of errors and the API reference. No page needs the internet."""

from pathlib import Path

import fastapi_offline
from fastapi import APIRouter, Request, Response
from fastapi.responses import FileResponse, HTMLResponse, JSONResponse

from shopbell import __version__
from shopbell.errors import NotFound
from shopbell.http.branding.templates import templates
from shopbell.http.pages import demo_sign_in
from shopbell.http.request.base_url import base_url
from shopbell.http.request.language import preferred_language
from shopbell.http.request.local_client import is_local_client
from shopbell.http.request.problem_types import PROBLEM_TYPES
from shopbell.i18n.translations import Texts, for_locale
from shopbell.operations.demo import EMPLOYEES, Demo, curl_command

PLACEHOLDER_TOKEN = "your-api-token"  # noqa: S105 - a placeholder
PLACEHOLDER_BUSINESS_ID = 12345

_WEB = Path(__file__).parents[2] / "web"
_MEDIA_TYPES = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
_FILES = {path.name: path.read_bytes() for path in _WEB.iterdir() if path.suffix in _MEDIA_TYPES}
_SWAGGER_FILES = {
    name: Path(fastapi_offline.__file__).with_name("static") / name
    for name in ("swagger-ui.css", "swagger-ui-bundle.js")
}

_NOTHING_ELSE = "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
_POLICY = f"default-src 'none'; style-src 'self'; img-src 'self'; {_NOTHING_ELSE}"
_DEMO_POLICY = (
    "default-src 'none'; style-src 'self'; img-src 'self'; frame-src 'self'; base-uri 'none'; form-action 'self'; "
    "frame-ancestors 'none'"
)
# Swagger UI sets inline styles, loads icons from data URLs, and sends requests to this server.
_DOCS_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    f"connect-src 'self'; {_NOTHING_ELSE}"
)
_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "X-Frame-Options": "DENY",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
_FILE_HEADERS = {**_HEADERS, "Content-Security-Policy": _POLICY, "Cache-Control": "max-age=300"}

router = APIRouter(include_in_schema=False)


@router.api_route("/", methods=["GET", "HEAD"])
async def index(request: Request) -> Response:
    """Show what this server is, and how to send a first message.

    In the demo, show the shop and the inbox.

    Raises:
        StorageError: 503.
    """
    url = base_url(request, request.app.state.settings)
    texts = for_locale(preferred_language(request))
    demo = _local_demo(request)
    if demo is None:
        command = curl_command(url, PLACEHOLDER_TOKEN, PLACEHOLDER_BUSINESS_ID)
        return page(
            "index.html", texts=texts, root="", command=command, is_real=False, sign_in="sign-in", cache="no-store"
        )
    return page(
        "index.html",
        texts=texts,
        policy=_DEMO_POLICY,
        root="",
        command=curl_command(url, demo.token, demo.business_ids[0]),
        is_real=True,
        employees=[name for name, _, _ in EMPLOYEES],
        employee=await demo_sign_in.employee_of(request),
        sign_in=demo.sign_in_link(url),
        cache="no-store",
    )


@router.api_route("/problems", methods=["GET", "HEAD"])
def problems() -> Response:
    """List all errors."""
    in_order = sorted(PROBLEM_TYPES.values(), key=lambda problem: problem.status)
    return page("problems.html", root="", problems=in_order)


@router.api_route("/problems/{name}", methods=["GET", "HEAD"])
def problem(name: str) -> Response:
    """Explain one error.

    Raises:
        NotFound: 404; there is no such error.
    """
    if name not in PROBLEM_TYPES:
        raise NotFound
    return page("problem.html", root="../", problem=PROBLEM_TYPES[name])


@router.api_route("/docs", methods=["GET", "HEAD"])
def docs(request: Request) -> Response:
    """Show the API reference (Swagger UI, with local files). In the demo, requests have its token."""
    demo = _local_demo(request)
    token, cache = ("", "no-cache") if demo is None else (demo.token, "no-store")
    return page("docs.html", policy=_DOCS_POLICY, cache=cache, root="", token=token)


@router.api_route("/openapi.json", methods=["GET", "HEAD"])
def openapi(request: Request) -> Response:
    """Serve the OpenAPI document."""
    return JSONResponse(request.app.openapi())


@router.api_route("/static/{name}", methods=["GET", "HEAD"])
def static(name: str) -> Response:
    """Serve a file of the pages.

    Raises:
        NotFound: 404; there is no such file.
    """
    if name not in _FILES:
        raise NotFound
    return Response(_FILES[name], headers=_FILE_HEADERS, media_type=_MEDIA_TYPES[Path(name).suffix])


@router.api_route("/docs/static/{name}", methods=["GET", "HEAD"])
def swagger(name: str) -> Response:
    """Serve a file of Swagger UI.

    Raises:
        NotFound: 404; there is no such file.
    """
    if name not in _SWAGGER_FILES:
        raise NotFound
    return FileResponse(_SWAGGER_FILES[name], headers=_FILE_HEADERS, media_type=_MEDIA_TYPES[Path(name).suffix])


def _local_demo(request: Request) -> Demo | None:
    """Return the demo, if its token may be shown: it runs, and the client is on this machine."""
    demo: Demo | None = request.app.state.demo
    return demo if is_local_client(request) else None


def page(
    template: str, *, texts: Texts | None = None, policy: str = _POLICY, cache: str = "no-cache", **values: object
) -> Response:
    """Render a page.

    Args:
        template: its name below ``web/``.
        texts: the language of the page; by default English, in which the reference is written.
        policy: the Content-Security-Policy; by default, only our own styles and pictures.
        cache: the Cache-Control header.
        values: the variables of the template.
    """
    texts = texts or for_locale(None)
    html = (
        templates(_WEB)
        .get_template(template)
        .render(version=__version__, locale=texts.tag, dir=texts.direction, gettext=texts.gettext, **values)
    )
    return HTMLResponse(html, headers={**_HEADERS, "Content-Security-Policy": policy, "Cache-Control": cache})
