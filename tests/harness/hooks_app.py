"""The SMS provider routes behind the real server, with results in a list.

``python -m harness.hooks_app FILE '{"sms_provider": "twilio", …}'`` serves them with these settings and writes the
port.
"""

import json
import sys
from pathlib import Path

from fastapi import FastAPI
from starlette.types import ASGIApp

from shopbell.channels.sms.twilio_media import open_media
from shopbell.errors import RequestError, StorageError
from shopbell.http import routes
from shopbell.http.hooks import sms_gateway, twilio
from shopbell.http.hooks.access import TextHooks
from shopbell.http.middleware import Middleware
from shopbell.http.request.problems import Problems
from shopbell.http.request.request_log import RequestLog
from shopbell.http.server.server import run
from shopbell.settings.settings import load
from shopbell.sms.inbound import InboundText, StatusReport

BROKEN = "break the storage"


def create() -> ASGIApp:
    """Make the application."""
    settings = load(**json.loads(sys.argv[2]))
    told: list[dict[str, object]] = []

    async def on_inbound(text: InboundText) -> None:
        if text.text == BROKEN:
            raise StorageError("the disk is full")
        asked = [text.keyword.intent, text.keyword.language] if text.keyword else None
        media = [[media.url, media.content_type] for media in text.media]
        names = ("provider_id", "channel", "sender", "recipient", "text", "sender_name", "is_answered")
        told.append({name: getattr(text, name) for name in names} | {"asked": asked, "media": media})

    async def on_status(report: StatusReport) -> None:
        names = ("status", "reference", "provider_id", "reason")
        told.append({name: getattr(report, name) for name in names})

    async def tell() -> list[dict[str, object]]:
        return told

    app = FastAPI(docs_url=None, redoc_url=None, redirect_slashes=False)
    app.state.problems = problems = Problems()
    app.state.text_hooks = TextHooks(settings, on_inbound, on_status, open_media(settings))
    app.include_router(twilio.router)
    app.include_router(sms_gateway.router)
    app.add_api_route("/told", tell)
    app.add_exception_handler(RequestError, routes._problem)
    app.add_exception_handler(StorageError, routes._storage_error)
    request_log = RequestLog(settings)

    def note_response(
        request_id: str, method: str, route: str | None, status: int, duration_s: float, latency_s: float
    ) -> None:
        request_log.note(request_id, method, route or "", status, duration_s)

    return Middleware([], app, streams={}, problems=problems, note_response=note_response)


if __name__ == "__main__":
    file = Path(sys.argv[1])

    def write(_: str, port: int) -> None:
        file.with_suffix(".part").write_text(str(port))
        file.with_suffix(".part").rename(file)

    run(load(**json.loads(sys.argv[2])), "harness.hooks_app:create", write)
