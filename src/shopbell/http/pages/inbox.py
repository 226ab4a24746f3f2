"""``/inbox``: the page where employees answer customers, and its files.

``web/`` has their source.
"""

import gzip
import re
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import cast

from fastapi import APIRouter, Request, Response
from markupsafe import escape

from shopbell.errors import NotFound
from shopbell.http.branding.assets import compressed_if_supported
from shopbell.http.request.app_services import Services
from shopbell.http.request.base_url import root_of
from shopbell.http.request.language import preferred_language
from shopbell.i18n.translations import for_locale

router = APIRouter(include_in_schema=False)

_IN_WHEEL = Path(__file__).parents[2] / "web" / "inbox"
_IN_CHECKOUT = Path(__file__).parents[4] / "web" / "dist"
FOLDER = _IN_WHEEL if _IN_WHEEL.exists() else _IN_CHECKOUT
_PAGE = "index.html"
_HASHED = "assets/"
"""The folder of the files whose names have a hash of their content."""
_NAME = re.compile(rf"(?:{_HASHED})?[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)+")
MEDIA_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".png": "image/png",
    ".svg": "image/svg+xml",
    ".webmanifest": "application/manifest+json",
}

_ALWAYS = {
    "X-Content-Type-Options": "nosniff",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "same-origin",
}
_HEADERS = _ALWAYS | {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; media-src 'self' blob:; "
        "connect-src 'self'; manifest-src 'self'; worker-src 'self'; base-uri 'none'; form-action 'self'; "
        "frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types inbox"
    ),
    "X-Frame-Options": "DENY",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "X-Robots-Tag": "noindex",
    "Cache-Control": "private, no-cache",
    "Vary": "Accept-Encoding, Accept-Language, Cookie",
}
_DEMO_HEADERS = _HEADERS | {
    "Content-Security-Policy": _HEADERS["Content-Security-Policy"].replace("ancestors 'none'", "ancestors 'self'"),
    "X-Frame-Options": "SAMEORIGIN",
}
"""The first page of the demo shows the inbox next to the shop."""
_FOREVER = "public, max-age=31536000, immutable"
_FOR_AN_HOUR = "public, max-age=3600"


@dataclass(frozen=True, slots=True)
class _File:
    content: bytes
    compressed: bytes
    media_type: str


@router.api_route("/inbox", methods=["GET", "HEAD"])
@router.api_route("/inbox/{path:path}", methods=["GET", "HEAD"])
async def show_inbox(request: Request, path: str = "") -> Response:
    """Serve a file, or the page to an employee who is signed in.

    The page is the same for every view and conversation that a path names.

    Raises:
        NotFound: 404; there is no such file.
        NotSignedIn: 401, which becomes a redirect to the sign-in page.
        StorageError: 503.
    """
    if path.startswith(_HASHED) or (_NAME.fullmatch(path) and path != _PAGE):
        return _file_response(request, path)
    await cast("Services", request.app.state.services).employees.signed_in(request.scope)
    texts = for_locale(preferred_language(request))
    root = root_of(request)
    values = {
        "{lang}": texts.tag,
        "{dir}": texts.direction,
        "{root}": root,
        "{noscript}": texts.gettext("The inbox needs JavaScript. Please allow it for this site."),
    }
    html = (FOLDER / _PAGE).read_text().replace('"./', f'"{root}inbox/')
    for name, value in values.items():
        html = html.replace(name, escape(value))
    content = html.encode()
    headers = _DEMO_HEADERS if request.app.state.demo else _HEADERS
    return compressed_if_supported(request, content, gzip.compress(content), "text/html; charset=utf-8", headers)


def _file_response(request: Request, path: str) -> Response:
    if not _NAME.fullmatch(path) or not (FOLDER / path).is_file():
        raise NotFound
    # In a checkout, a new build may change a file without a hash in its name.
    file = _file(path, (FOLDER / path).stat().st_mtime_ns)
    cached = _FOREVER if path.startswith(_HASHED) else _FOR_AN_HOUR
    headers = {**_ALWAYS, "Cache-Control": cached, "Vary": "Accept-Encoding"}
    return compressed_if_supported(request, file.content, file.compressed, file.media_type, headers)


@lru_cache(maxsize=200)
def _file(path: str, _: int) -> _File:
    content = (FOLDER / path).read_bytes()
    media_type = MEDIA_TYPES[Path(path).suffix]
    return _File(content, gzip.compress(content, 9, mtime=0), media_type)
