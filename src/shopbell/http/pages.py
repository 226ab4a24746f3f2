"""Pages for people: what runs here, what each error means, and the API reference. No page needs the internet."""

import ipaddress
from pathlib import Path

import fastapi_offline
from fastapi import APIRouter, Request, Response
from fastapi.responses import FileResponse, HTMLResponse, JSONResponse
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from shopbell import __version__
from shopbell.demo import Demo, curl_command
from shopbell.errors import PROBLEMS, NotFound
from shopbell.http.addresses import PLAIN_HOST, base_url
from shopbell.settings import Settings
from shopbell.texts import for_locale

PLACEHOLDER_TOKEN = "your-api-token"  # noqa: S105 - stands where the token goes
PLACEHOLDER_BUSINESS_ID = 12345

_WEB = Path(__file__).parents[1] / "web"
_MEDIA_TYPES = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
_FILES = {path.name: path.read_bytes() for path in _WEB.iterdir() if path.suffix in _MEDIA_TYPES}
_SWAGGER_FILES = {
    name: Path(fastapi_offline.__file__).with_name("static") / name
    for name in ("swagger-ui.css", "swagger-ui-bundle.js")
}

_LOOPBACK_NAMES = ("localhost", "127.0.0.1", "[::1]")

_NOTHING_ELSE = "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
_POLICY = f"default-src 'none'; style-src 'self'; img-src 'self'; {_NOTHING_ELSE}"
# Swagger UI sets styles on elements, draws icons from data, and asks this server.
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

_templates = Environment(
    loader=FileSystemLoader(_WEB), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
)


@router.api_route("/", methods=["GET", "HEAD"])
def index(request: Request) -> Response:
    """Say what runs here and how to send a first message."""
    settings: Settings = request.app.state.settings
    demo: Demo | None = request.app.state.demo
    is_real = demo is not None and is_at_the_machine_itself(request)
    if demo is not None and is_real:
        command = curl_command(base_url(request, settings), demo.token, demo.business_ids[0])
    else:
        command = curl_command(base_url(request, settings), PLACEHOLDER_TOKEN, PLACEHOLDER_BUSINESS_ID)
    return page("index.html", root="", command=command, is_real=is_real, cache="no-store")


@router.api_route("/problems", methods=["GET", "HEAD"])
def problems() -> Response:
    """List every error there is."""
    in_order = sorted(PROBLEMS.values(), key=lambda problem: problem.status)
    return page("problems.html", root="", problems=in_order)


@router.api_route("/problems/{name}", methods=["GET", "HEAD"])
def problem(name: str) -> Response:
    """Explain one error.

    Raises:
        NotFound: 404, there is no error of that name.
    """
    if name not in PROBLEMS:
        raise NotFound
    return page("problem.html", root="../", problem=PROBLEMS[name])


@router.api_route("/docs", methods=["GET", "HEAD"])
def docs() -> Response:
    """Show the API reference (Swagger UI, from files of this server)."""
    return page("docs.html", policy=_DOCS_POLICY, root="")


@router.api_route("/openapi.json", methods=["GET", "HEAD"])
def openapi(request: Request) -> Response:
    """Give the API reference as an OpenAPI document."""
    return JSONResponse(request.app.openapi())


@router.api_route("/static/{name}", methods=["GET", "HEAD"])
def static(name: str) -> Response:
    """Give a file that pages need.

    Raises:
        NotFound: 404, there is no such file.
    """
    if name not in _FILES:
        raise NotFound
    return Response(_FILES[name], headers=_FILE_HEADERS, media_type=_MEDIA_TYPES[Path(name).suffix])


@router.api_route("/docs/static/{name}", methods=["GET", "HEAD"])
def swagger(name: str) -> Response:
    """Give a file of Swagger UI.

    Raises:
        NotFound: 404, there is no such file.
    """
    if name not in _SWAGGER_FILES:
        raise NotFound
    return FileResponse(_SWAGGER_FILES[name], headers=_FILE_HEADERS, media_type=_MEDIA_TYPES[Path(name).suffix])


def broken_link(request: Request) -> Response:
    """The page for a link of a mail that leads nowhere (404), in the browser's language."""
    language = request.headers.get("accept-language", "").partition(",")[0].partition(";")[0].strip()[:35]
    answered = page("broken_link.html", cache="no-store", root="../", texts=for_locale(language))
    answered.status_code = NotFound.status
    return answered


def page(template: str, *, policy: str = _POLICY, cache: str = "no-cache", **values: object) -> Response:
    """A page for people.

    Args:
        template: its name below ``web/``.
        policy: what it may load (Content-Security-Policy); nothing but our own style and pictures unless given.
        cache: how long a browser keeps it.
        values: what the template shows.
    """
    html = _templates.get_template(template).render(version=__version__, **values)
    return HTMLResponse(html, headers={**_HEADERS, "Content-Security-Policy": policy, "Cache-Control": cache})


def is_at_the_machine_itself(request: Request) -> bool:
    """Whether whoever asks sits at this machine: then the demo's token may be shown.

    The peer must be a loopback address, with no proxy between that could speak for others; and the page must have been
    asked for by a loopback name, or a foreign site whose name was made to lead here could read it.
    """
    if request.client is None or not _is_loopback(request.client.host) or _has_come_through_a_proxy(request):
        return False
    host = PLAIN_HOST.fullmatch(request.headers.get("host", ""))
    return host is not None and host["name"].lower() in _LOOPBACK_NAMES


def _is_loopback(address: str) -> bool:
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        return False
    return (getattr(ip, "ipv4_mapped", None) or ip).is_loopback


def _has_come_through_a_proxy(request: Request) -> bool:
    """Whether a proxy may have sent a request.

    Not every proxy names itself: nginx, as it is installed, adds no header and asks for its upstream's own name, but
    by HTTP/1.0, or with ``Connection: close``. Browsers and curl do neither.
    """
    if request.scope["http_version"] == "1.0" or "close" in request.headers.get("connection", "").lower():
        return True
    return any(name in ("forwarded", "via", "x-real-ip") or name.startswith("x-forwarded-") for name in request.headers)
