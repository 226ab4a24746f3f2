"""A small application behind the real server, with one case per path.

Paths below ``/direct`` are direct routes. ``python -m harness.bare_app FILE '{"port": 0, …}' [parse-all]`` serves it
with these settings and writes the port into the file. With ``parse-all`` the server parses all that it reads at once:
the control of what it holds back.
"""

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

from starlette.types import ASGIApp, Receive, Scope, Send

from shopbell.errors import Conflict
from shopbell.http.request.body import read_body, read_direct_body
from shopbell.http.request.problems import Problems
from shopbell.http.server.direct import DirectRequest, DirectRoute
from shopbell.http.server.protocol import Protocol
from shopbell.http.server.responses import CompleteResponse
from shopbell.http.server.server import run
from shopbell.settings.settings import load

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
            await _live(scope, receive, send)
            return
        match scope["path"]:
            case "/echo":
                await answer(send, (await read_body(receive, scope, 1_000_000)).decode())
            case "/header-limit":
                await answer(send, header_limit_bytes)
            case "/told":
                await answer(send, told)
            case "/problem":
                raise Conflict("Another request was faster.")
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


def _note(*response: object) -> None:
    print("noted", *response[1:4], flush=True)


def _answer(request: DirectRequest, value: object) -> None:
    body = json.dumps(value).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    request.respond(CompleteResponse(200, headers, body))


def _break(*_: object) -> None:
    raise ValueError(CANARY)


async def _break_later() -> None:
    await asyncio.sleep(0)
    raise ValueError(CANARY)


def _answer_twice(request: DirectRequest) -> None:
    _answer(request, "one")
    _answer(request, "two")


def _refuse(request: DirectRequest) -> None:
    request.response_headers = [(b"x-note", b"a")]
    raise Conflict("Another request was faster.")


def _split(request: DirectRequest) -> None:
    request.respond(CompleteResponse(200, [(b"content-length", b"0"), (b"x-note", b"a\r\nset-cookie: a=b")], b""))


_DIRECT = {
    f"/direct/{name}": DirectRoute(f"/direct/{name}", begin)
    for name, begin in {
        "at-once": lambda request: _answer(request, "at once"),
        "echo": lambda request: read_direct_body(request, 1_000_000, lambda body: _answer(request, body.decode())),
        "slow": lambda request: request.wait_for(asyncio.sleep(0.5), lambda _: _answer(request, "slow")),
        "forever": lambda _: None,
        "forever-in-a-task": lambda request: request.wait_for(asyncio.sleep(3_600), _break),
        "problem": _refuse,
        "twice": _answer_twice,
        "split": _split,
        "bug": _break,
        "bug-after-the-body": lambda request: read_direct_body(request, 1_000_000, _break),
        "bug-in-a-task": lambda request: request.wait_for(_break_later(), _break),
        "bug-after-a-task": lambda request: request.wait_for(asyncio.sleep(0), _break),
    }.items()
}


async def _live(scope: Scope, receive: Receive, send: Send) -> None:
    scope["state"]["error_response"] = Problems().render
    scope["state"]["find_direct"] = _DIRECT.get
    scope["state"]["note_response"] = _note
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
        Protocol._feed_slices = Protocol._feed  # type: ignore[method-assign]
    run(load(**json.loads(sys.argv[2])), "harness.bare_app:create", write)
