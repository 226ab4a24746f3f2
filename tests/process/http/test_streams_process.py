"""Live streams for programs and their server process."""

import os
import signal
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from harness.installation import Installation
from harness.shop import Shop
from harness.streams import SOON_S, Listening, following

FORGETS_AT_ONCE = (
    "import shopbell.http.streams.feed_broadcaster as f; f.RECENT_S = 0; from shopbell.cli import main; main()"
)


@pytest.fixture
def shop(engine: str, shops: Callable[..., Shop]) -> Shop:
    """A server that delivers nothing: what became of another test's reply is an event, too, whenever it comes."""
    return shops(engine, run_worker=False)


def test_deleted_messages_soon_disappear_from_streams_that_start_earlier(
    installation: Installation, people: Any
) -> None:
    with replace(installation, server_program=("-c", FORGETS_AT_ONCE)).serving(run_worker=False) as server:
        shop = Shop(server, people)
        with following(shop) as open_all_the_time:
            open_all_the_time.until_ready()
            thread_id = shop.send()
            told = _heard_of(open_all_the_time, thread_id, "message")
            shop.database.change("DELETE FROM messages WHERE thread_id = :id", id=int(thread_id))
            with following(shop, after=str(int(told["id"]) - 1)) as late:
                again = _heard_of(late, thread_id, "message")
    assert (again["data"]["message"]["text"], again["data"]["message"]["deleted"]) == ("", True)


def _heard_of(stream: Listening, thread_id: str, kind: str) -> dict[str, Any]:
    """The next event of a kind that is of this conversation: others use the shop, too."""
    while (event := stream.next(kind))["data"]["customerThreadId"] != thread_id:
        pass
    return event


def test_streams_end_when_the_server_stops(installation: Installation, people: Any) -> None:
    with installation.serving(shutdown_timeout_s=60) as server:
        shop = Shop(server, people)
        with following(shop) as stream:
            stream.until_ready()
            began_s = time.monotonic()
            os.kill(server.pid, signal.SIGTERM)
            assert stream.ends()
            assert time.monotonic() - began_s < SOON_S
