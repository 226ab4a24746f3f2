"""The files that widget, panel and conversation page are made of, as browsers get them.

There is no build: the files in ``web/widget`` are what runs. The parts of a script are put together, so that a browser
asks once; whole lines of comment and the indentation stay here, which halves what goes over the wire.
"""

import gzip
import hashlib
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import orjson
from starlette.requests import Request
from starlette.responses import Response

from shopbell import texts
from shopbell.http.customer.widget_texts import launcher_texts

FOLDER = Path(__file__).parents[2] / "web" / "widget"

_TALK = ("api.js", "stream.js", "log.js", "outgoing.js", "cards.js", "files.js", "talk.js")
_PARTS = {
    "widget.js": ("widget.js",),
    "looks.js": ("looks.js",),
    "panel.js": (*_TALK, "visitor.js", "panel.js"),
    "conversation.js": (*_TALK, "conversation.js"),
    "panel.css": ("panel.css",),
    "conversation.css": ("conversation.css",),
    "demo.js": ("demo.js",),
    "demo.css": ("demo.css",),
}
_IN_ONE_SCOPE = ("panel.js", "conversation.js")
_LABELS = b"__LABELS__"
_COMMENT_LINES = re.compile(r"^[ \t]*(?:/\*.*?\*/|//[^\n]*)[ \t]*\n", re.DOTALL | re.MULTILINE)
_INDENTATION = re.compile(r"^[ \t\n]+", re.MULTILINE)
_MEDIA_TYPES = {".js": "text/javascript; charset=utf-8", ".css": "text/css; charset=utf-8"}

_LOADER_S = 300
"""How long a browser may keep the loader: after an upgrade it meets a newer panel no longer than this."""
_FOR_EVER = "public, max-age=31536000, immutable"


@dataclass(frozen=True, slots=True)
class File:
    """One file: its bytes, the same compressed, its media type, and what changes with its content."""

    content: bytes
    compressed: bytes
    media_type: str
    version: str


@cache
def file(name: str) -> File:
    """A file by its name.

    Raises:
        KeyError: there is none of that name.
    """
    source = "\n".join((FOLDER / part).read_text() for part in _PARTS[name])
    content = _INDENTATION.sub("", _COMMENT_LINES.sub("", source))
    if name in _IN_ONE_SCOPE:
        content = "(()=>{'use strict'\n" + content + "})()\n"
    body = content.encode()
    if name == "widget.js":
        labels = {tag: launcher_texts(texts.for_locale(tag)) for tag in texts.LANGUAGES}
        body = body.replace(_LABELS, orjson.dumps(labels))
    version = hashlib.sha256(body).hexdigest()[:16]
    return File(body, gzip.compress(body, 9, mtime=0), _MEDIA_TYPES[Path(name).suffix], version)


def address(name: str) -> str:
    """How a page names a file beside it: with its version, so that it may be kept for ever."""
    return f"{name}?v={file(name).version}"


def answer(request: Request, name: str) -> Response:
    """Give a file: compressed where that is understood, not again where it is known.

    Args:
        request: whose headers are looked at.
        name: one of the files.
    """
    given = file(name)
    tag = f'W/"{given.version}"'
    is_of_version = request.query_params.get("v") == given.version
    headers = {
        "ETag": tag,
        "Cache-Control": _FOR_EVER if is_of_version else f"public, max-age={_LOADER_S}",
        "Vary": "Accept-Encoding",
        "X-Content-Type-Options": "nosniff",
        # Websites load these, those that keep others out of their process too.
        "Cross-Origin-Resource-Policy": "cross-origin",
        "Access-Control-Allow-Origin": "*",
    }
    if tag in (each.strip() for each in request.headers.get("if-none-match", "").split(",")):
        return Response(status_code=304, headers=headers)
    return compressed_if_understood(request, given.content, given.compressed, given.media_type, headers)


def compressed_if_understood(
    request: Request, content: bytes, compressed: bytes, media_type: str, headers: dict[str, str]
) -> Response:
    """The bytes, or the same compressed.

    Args:
        request: says whether gzip is understood.
        content: the bytes.
        compressed: the same by gzip.
        media_type: with its charset.
        headers: what else to answer.
    """
    if understands_gzip(request.headers.get("accept-encoding", "")):
        return Response(compressed, headers={**headers, "Content-Encoding": "gzip"}, media_type=media_type)
    return Response(content, headers=headers, media_type=media_type)


def understands_gzip(accept_encoding: str) -> bool:
    """Whether a client says that it takes gzip, and does not say that it takes none of it (``q=0``)."""
    for each in accept_encoding.lower().split(","):
        name, _, parameters = each.partition(";")
        if name.strip() == "gzip":
            return not re.fullmatch(r"\s*q\s*=\s*0(\.0*)?\s*", parameters)
    return False
