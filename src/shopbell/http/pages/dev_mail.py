"""Pages with the emails and SMS that the demo would have sent, from its outbox folder.

Only the demo has them, and only for clients on this machine: they contain messages, and links that open conversations.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from typing import Any, cast

import orjson
from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import HTMLResponse

from shopbell.channels.email.folder import SUFFIX as MAIL
from shopbell.channels.sms.folder import SUFFIX as TEXT
from shopbell.errors import NotFound
from shopbell.formats import graphemes
from shopbell.http.pages.demo_sign_in import require_local_demo
from shopbell.http.pages.pages import page
from shopbell.settings.settings import Settings

LISTED_MAX = 100
_SNIPPET_CHARACTERS = 80
FILE_MAX_BYTES = 2_000_000

# A name has no slash, so it cannot leave the folder. It begins with the time.
_NAME = re.compile(rf"\d{{10,17}}-[A-Za-z0-9_-]{{1,80}}(?:{re.escape(MAIL)}|{re.escape(TEXT)})", re.ASCII)
_LINK = re.compile(r"(https?://[^\s<>\"'()]+[^\s<>\"'().,;:!?])")

_PAGE_POLICY = (
    "default-src 'none'; style-src 'self'; img-src 'self'; frame-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)
# The page of the email itself: nothing runs or loads, and links open new tabs.
_MAIL_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'self'; "
    "sandbox allow-popups allow-popups-to-escape-sandbox"
)
_MAIL_HEADERS = {
    "Content-Security-Policy": _MAIL_POLICY,
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
}


@dataclass(frozen=True, slots=True)
class _Shown:
    """The content of a file, as shown."""

    name: str
    kind: str
    to: str
    subject: str
    at: datetime
    text: str = ""
    headers: Sequence[tuple[str, str]] = ()
    html: str | None = None


router = APIRouter(include_in_schema=False, dependencies=[Depends(require_local_demo)])


@router.api_route("/dev/mail", methods=["GET", "HEAD"])
def dev_mail(request: Request) -> Response:
    """List the messages, the newest first.

    Raises:
        NotFound: 404; this is not the demo, or the client is not on this machine.
    """
    files = sorted(_files(_folder(request)), key=lambda file: file.name, reverse=True)[:LISTED_MAX]
    shown = [each for file in files if (each := _read(file)) is not None]
    return page("dev_mail.html", policy=_PAGE_POLICY, cache="no-store", root="../", shown=shown)


@router.api_route("/dev/mail/{name}", methods=["GET", "HEAD"])
def dev_mail_item(request: Request, name: str, part: str | None = None) -> Response:
    """Show one message.

    Args:
        request: for the settings.
        name: the name of the file.
        part: ``html`` for only the HTML of an email.

    Raises:
        NotFound: 404; there is no such file, or as above.
    """
    shown = _read(_folder(request) / name) if _NAME.fullmatch(name) else None
    if shown is None or (part is not None and (part != "html" or shown.html is None)):
        raise NotFound
    if part == "html":
        return HTMLResponse(f'<base target="_blank">{shown.html}', headers=_MAIL_HEADERS)
    pieces = _LINK.split(shown.text)
    return page("dev_mail_item.html", policy=_PAGE_POLICY, cache="no-store", root="../../", item=shown, pieces=pieces)


def _folder(request: Request) -> Path:
    settings: Settings = request.app.state.settings
    return settings.mail_outbox


def _files(folder: Path) -> list[Path]:
    return [file for file in folder.iterdir() if _NAME.fullmatch(file.name)] if folder.is_dir() else []


def _read(file: Path) -> _Shown | None:
    """Read a file. It may be deleted at any time, or be incomplete: then return None."""
    try:
        with file.open("rb") as opened:
            content = opened.read(FILE_MAX_BYTES)
        return _mail(file, content) if file.name.endswith(MAIL) else _text(file, orjson.loads(content))
    except (OSError, ValueError, LookupError):
        return None


def _mail(file: Path, content: bytes) -> _Shown:
    message = cast("EmailMessage", message_from_bytes(content, policy=cast("Any", policy.default)))
    plain, html = message.get_body(("plain",)), message.get_body(("html",))
    return _Shown(
        name=file.name,
        kind="Email",
        to=str(message["To"]),
        subject=str(message["Subject"]),
        at=_time(file),
        text=plain.get_content() if plain is not None else "",
        headers=[(name, str(value)) for name, value in message.items()],
        html=html.get_content() if html is not None else None,
    )


def _text(file: Path, content: Mapping[str, Any]) -> _Shown:
    text = str(content["text"])
    rest = [(name, str(value)) for name, value in content.items() if name != "text"]
    snippet = graphemes.beginning(text, _SNIPPET_CHARACTERS)
    return _Shown(file.name, str(content["channel"]), str(content["to"]), snippet, _time(file), text, rest)


def _time(file: Path) -> datetime:
    return datetime.fromtimestamp(int(file.name.partition("-")[0]) // 1_000, UTC)
