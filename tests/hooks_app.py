"""The routes for providers of texts behind the real server, handing on to a list.

``python -m hooks_app FILE '{"sms_provider": "twilio", …}'`` serves them with these settings and writes the port.
"""

import json
import sys
from pathlib import Path

from fastapi import FastAPI
from starlette.types import ASGIApp

from shopbell.channels.twilio_media import open_media
from shopbell.errors import Problem, StorageError
from shopbell.http import routes
from shopbell.http.edge import Edge
from shopbell.http.hooks import http_texts, twilio
from shopbell.http.hooks.access import TextHooks
from shopbell.http.metrics import RequestMetrics
from shopbell.http.request_log import RequestLog
from shopbell.http.server import run
from shopbell.settings import load
from shopbell.texting.inbound import InboundText, StatusReport

BROKEN = "break the storage"


def create() -> ASGIApp:
    """Make the application."""
    settings = load(**json.loads(sys.argv[2]))
    told: list[dict[str, object]] = []

    async def on_inbound(text: InboundText) -> None:
        if text.text == BROKEN:
            raise StorageError("the disk is full")
        asked = [text.asked.intent, text.asked.language] if text.asked else None
        media = [[media.url, media.content_type] for media in text.media]
        names = ("provider_id", "channel", "sender", "recipient", "text", "sender_name", "is_answered")
        told.append({name: getattr(text, name) for name in names} | {"asked": asked, "media": media})

    async def on_status(report: StatusReport) -> None:
        names = ("status", "reference", "provider_id", "reason")
        told.append({name: getattr(report, name) for name in names})

    async def tell() -> list[dict[str, object]]:
        return told

    app = FastAPI(docs_url=None, redoc_url=None, redirect_slashes=False)
    app.state.text_hooks = TextHooks(settings, on_inbound, on_status, open_media(settings))
    app.include_router(twilio.router)
    app.include_router(http_texts.router)
    app.add_api_route("/told", tell)
    app.add_exception_handler(Problem, routes._problem)
    app.add_exception_handler(StorageError, routes._storage_error)
    return Edge({}, app, streams={}, metrics=RequestMetrics(), request_log=RequestLog(settings))


if __name__ == "__main__":
    file = Path(sys.argv[1])

    def write(_: str, port: int) -> None:
        file.with_suffix(".part").write_text(str(port))
        file.with_suffix(".part").rename(file)

    run(load(**json.loads(sys.argv[2])), "hooks_app:create", write)
