"""Responses of 500 and above are always logged."""

import json
import socket
import time
from contextlib import ExitStack
from typing import Any

import pytest

from harness import raw
from harness.installation import Installation, Server
from harness.raw_connection import Wire, request
from harness.shop import WIDGET, Shop
from harness.world import World

ONLY_ERRORS = {"log_format": "json", "log_requests": "false"}
PATIENT = "import shopbell.http.server.connection as c; c.GRACE_S = 60; from shopbell.cli import main; main()"


def _requests(server: Server) -> list[dict[str, Any]]:
    """The lines about requests, of a server that has ended."""
    lines = [json.loads(line) for line in server.log.splitlines()]
    return [line for line in lines if line["event"] == "request"]


@pytest.mark.parametrize("engine", ["sqlite"])
def test_a_bug_in_any_route_is_a_problem_and_is_logged(installation: Installation) -> None:
    # A worker process that still starts would fail on that table, too, and then the server is not ready: 503.
    with installation.serving(**ONLY_ERRORS, run_worker=False) as server:
        # A table without one of its columns is a bug, as far as the server can tell.
        installation.database.change("ALTER TABLE alembic_version RENAME COLUMN version_num TO canary")
        deadline_s = time.monotonic() + 60
        while (answer := server.client.get("/readyz")).status_code == 200:  # what was known just before still counts
            assert time.monotonic() < deadline_s
        server.terminate()
    assert answer.status_code == 500
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert problem["type"] == "/problems/internal-error"
    assert problem["instance"] == f"urn:uuid:{answer.headers['x-request-id']}"
    (line,) = _requests(server)
    assert (line["request_id"], line["route"]) == (answer.headers["x-request-id"], "/readyz")
    assert "canary" not in server.log
    assert '"event":"bug"' in server.log.replace('": "', '":"')


@pytest.mark.parametrize("engine", ["sqlite"])
def test_a_refused_connection_is_logged(installation: Installation) -> None:
    with installation.serving(**ONLY_ERRORS, connection_limit=16) as server:
        with ExitStack() as stack:
            for _ in range(16):
                stack.enter_context(socket.create_connection(("127.0.0.1", server.port)))
            answer = raw.exchange(server.port, b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n")
        assert answer.status == 503
        server.terminate()
    refused = {line["request_id"]: (line["route"], line["status"], line["level"]) for line in _requests(server)}
    assert refused[answer.header("x-request-id")] == ("(refused)", 503, "error")


@pytest.mark.parametrize("engine", ["sqlite"])
def test_a_request_cut_off_at_shutdown_has_its_routes_headers_and_is_logged(
    installation: Installation, people: World
) -> None:
    # The grace for what is on its way is a second, too, and whichever ends first would give the answer.
    installation.server_program = ("-c", PATIENT)
    settings = {**ONLY_ERRORS, "shutdown_timeout_s": 1, "body_timeout_s": 60}
    with installation.serving(**settings) as server, Wire(server.port) as wire:
        whole = request(json.dumps(Shop(server, people).body()).encode(), token=people.token, path=WIDGET)
        wire.send(whole[:-1])
        assert server.client.get("/healthz").status_code == 200  # so the first one is under way
        assert server.terminate() == 0
        answer = wire.answer()
    assert answer.status == 503
    assert str(answer.header("ratelimit")).startswith('"token";r=')
    (line,) = _requests(server)
    assert (line["request_id"], line["method"], line["status"]) == (answer.header("x-request-id"), "POST", 503)
