"""A small application behind the real server: each path does one thing that a route might do, right or wrong.

``python -m bare_app FILE '{"port": 0, …}' [parse-all]`` serves it with these settings and writes the port into the
file. With ``parse-all`` the server parses all that it reads at once: the control of what it holds back.
"""

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

from starlette.types import ASGIApp, Receive, Scope, Send

from shopbell.errors import Conflict
from shopbell.http.body import read_body
from shopbell.http.protocol import Protocol
from shopbell.http.server import run
from shopbell.settings import load

CANARY = "carolscanary"


def create() -> ASGIApp:
    """Make the application."""
    header_limit_bytes = load().header_limit_bytes
    told: list[str] = []

    async def answer(send: Send, value: object) -> None:
        body = json.dumps(value).encode()
        headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await _live(receive, send)
            return
        match scope["path"]:
            case "/echo":
                await answer(send, (await read_body(receive, scope, 1_000_000)).decode())
            case "/header-limit":
                await answer(send, header_limit_bytes)
            case "/told":
                await answer(send, told)
            case "/problem":
                raise Conflict("Somebody was faster.")
            case "/bug":
                raise ValueError(CANARY)
            case "/silence":
                return
            case "/half":
                await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"9")]})
                await send({"type": "http.response.body", "body": b"half", "more_body": True})
                raise ValueError(CANARY)
            case "/split":
                headers = [(b"content-length", b"0"), (b"x-note", b"a\r\nset-cookie: a=b")]
                await send({"type": "http.response.start", "status": 200, "headers": headers})
                await send({"type": "http.response.body", "body": b""})
            case "/parts":
                await send({"type": "http.response.start", "status": 200, "headers": []})
                await send({"type": "http.response.body", "body": b"one,", "more_body": True})
                await send({"type": "http.response.body", "body": b"two", "more_body": False})
            case "/wait":
                await receive()
                told.append("waiting")
                told.append((await receive())["type"])
            case "/slow":
                await asyncio.sleep(0.5)
                await answer(send, "slow")
            case _:
                await asyncio.sleep(3_600)

    return app


async def _live(receive: Receive, send: Send) -> None:
    while True:
        event: dict[str, Any] = dict(await receive())
        await send({"type": f"{event['type']}.complete"})
        if event["type"] == "lifespan.shutdown":
            return


if __name__ == "__main__":
    file = Path(sys.argv[1])

    def write(_: str, port: int) -> None:
        file.with_suffix(".part").write_text(str(port))
        file.with_suffix(".part").rename(file)

    if sys.argv[3:] == ["parse-all"]:
        Protocol.data_received = Protocol._feed  # type: ignore[method-assign]
    run(load(**json.loads(sys.argv[2])), "bare_app:create", write)
