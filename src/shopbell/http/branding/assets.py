"""Serve the scripts and styles of widget, panel and conversation page.

There is no build step: the server concatenates the files of ``web/widget``, and removes comments and needless white
space, which halves their size.
"""

import gzip
import hashlib
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import orjson
import rjsmin
from starlette.requests import Request
from starlette.responses import Response

from shopbell.http.branding.texts import launcher_texts
from shopbell.i18n import translations

FOLDER = Path(__file__).parents[2] / "web" / "widget"

_TALK = ("api.js", "kept.js", "stream.js", "log.js", "outgoing.js", "cards.js", "hours.js", "files.js", "talk.js")
_PARTS = {
    "widget.js": ("widget.js",),
    "looks.js": ("looks.js",),
    "form.js": ("form.js",),
    "panel.js": (*_TALK, "visitor.js", "panel.js"),
    "conversation.js": (*_TALK, "conversation.js"),
    "panel.css": ("panel.css",),
    "conversation.css": ("conversation.css",),
    "demo.js": ("demo.js",),
    "demo.css": ("demo.css",),
}
_IN_ONE_SCOPE = ("panel.js", "conversation.js")
_LABELS = b"__LABELS__"
_COMMENTS = re.compile(r"^[ \t]*/\*.*?\*/[ \t]*\n", re.DOTALL | re.MULTILINE)
_INDENTATION = re.compile(r"^[ \t\n]+", re.MULTILINE)
_MEDIA_TYPES = {".js": "text/javascript; charset=utf-8", ".css": "text/css; charset=utf-8"}

_LOADER_S = 300
"""How long browsers cache the loader. After an upgrade, an old loader may use a new panel for so long."""
_FOREVER = "public, max-age=31536000, immutable"


@dataclass(frozen=True, slots=True)
class File:
    """One file: its bytes, also compressed, its media type, and a hash of its content."""

    content: bytes
    compressed: bytes
    media_type: str
    version: str


@cache
def file(name: str) -> File:
    """Return a file by its name.

    Raises:
        KeyError: there is no such file.
    """
    source = "\n".join((FOLDER / part).read_text() for part in _PARTS[name])
    content = rjsmin.jsmin(source) if name.endswith(".js") else _INDENTATION.sub("", _COMMENTS.sub("", source))
    if name in _IN_ONE_SCOPE:
        content = "(()=>{'use strict'\n" + content + "})()\n"
    body = content.encode()
    if name == "widget.js":
        # The loader looks at two letters alone: variants of a language must not differ here (a test checks it).
        labels = {tag[:2]: launcher_texts(translations.for_locale(tag)) for tag in translations.LANGUAGES}
        body = body.replace(_LABELS, orjson.dumps(labels))
    version = hashlib.sha256(body).hexdigest()[:16]
    return File(body, gzip.compress(body, 9, mtime=0), _MEDIA_TYPES[Path(name).suffix], version)


def address(name: str) -> str:
    """Return the URL of a file with its version, so that browsers can cache it forever."""
    return f"{name}?v={file(name).version}"


def answer(request: Request, name: str) -> Response:
    """Serve a file, compressed if the browser supports it; 304 if the browser has it."""
    given = file(name)
    tag = f'W/"{given.version}"'
    is_of_version = request.query_params.get("v") == given.version
    headers = {
        "ETag": tag,
        "Cache-Control": _FOREVER if is_of_version else f"public, max-age={_LOADER_S}",
        "Vary": "Accept-Encoding",
        "X-Content-Type-Options": "nosniff",
        # Websites load these files, including sites with Cross-Origin-Embedder-Policy.
        "Cross-Origin-Resource-Policy": "cross-origin",
        "Access-Control-Allow-Origin": "*",
    }
    if tag in (each.strip() for each in request.headers.get("if-none-match", "").split(",")):
        return Response(status_code=304, headers=headers)
    return compressed_if_supported(request, given.content, given.compressed, given.media_type, headers)


def compressed_if_supported(
    request: Request, content: bytes, compressed: bytes, media_type: str, headers: dict[str, str]
) -> Response:
    """Answer with the content, or with its gzip form if the browser supports it."""
    if supports_gzip(request.headers.get("accept-encoding", "")):
        return Response(compressed, headers={**headers, "Content-Encoding": "gzip"}, media_type=media_type)
    return Response(content, headers=headers, media_type=media_type)


def supports_gzip(accept_encoding: str) -> bool:
    """Return whether ``Accept-Encoding`` has gzip, without ``q=0``."""
    for each in accept_encoding.lower().split(","):
        name, _, parameters = each.partition(";")
        if name.strip() == "gzip":
            return not re.fullmatch(r"\s*q\s*=\s*0(\.0*)?\s*", parameters)
    return False
