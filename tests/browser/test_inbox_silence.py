"""The inbox notices that its live stream is dead although no connection was closed."""

import socket
from collections.abc import Iterator
from contextlib import closing
from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.sync_api import Route, expect
from test_inbox_answering import desk as desk

from harness.inbox_desk import Desk, expect_order, leave_list
from harness.late import first_of
from harness.waiting import wait_until

HEAD = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-store\r\n\r\n"
COUNT_STREAMS = """
    window.opened = window.beats = 0
    window.EventSource = class extends EventSource {
        constructor(...of) {
            super(...of)
            opened++
            this.addEventListener("beat", () => beats++)
        }
    }
"""


@pytest.fixture
def silent() -> Iterator[socket.socket]:
    """A server that sends only what the test says."""
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        yield server


def test_a_silent_connection_is_opened_again(desk: Desk, silent: socket.socket) -> None:
    first = desk.write("One")
    desk.settle()
    page = desk.tab(desk.hire()).context.new_page()
    page.clock.install()
    page.add_init_script(COUNT_STREAMS)
    streams: list[Route] = []

    def answer(route: Route) -> None:
        streams.append(route)
        host = f"127.0.0.1:{silent.getsockname()[1]}"
        url = urlsplit(route.request.url)
        route.continue_(url=url._replace(netloc=host).geturl() if len(streams) == 1 else route.request.url)

    page.route("**/api/stream?*", answer)
    page.goto(f"{desk.url}/inbox")
    expect_order(page, first)
    leave_list(page)
    position = parse_qs(urlsplit(first_of(streams, page).request.url).query)["after"][0]
    page.clock.pause_at(page.evaluate("Date.now() / 1000") + 10)  # from now on, only the test lets time pass
    wire, _ = silent.accept()
    with wire:
        with page.expect_request("**/api/inbox/threads?*"):  # because of `ready`
            wire.sendall(f'{HEAD}id: {position}\nevent: ready\ndata: {{"lastPosition":{position}}}\n\n'.encode())
        second = desk.write("Two")
        page.clock.fast_forward(40_000)
        wire.sendall(b"event: beat\ndata: {}\n\n")
        wait_until(lambda: page.evaluate("beats") == 1, lambda: "the page has not heard it")
        page.clock.fast_forward(40_000)
        assert page.evaluate("opened") == 1, "the connection was alive"
        page.clock.fast_forward(10_000)
        page.clock.resume()
        expect_order(page, first, second)
    expect(page.get_by_text("No connection. What you write is saved")).to_have_count(0)
