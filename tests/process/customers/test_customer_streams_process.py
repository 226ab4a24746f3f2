"""Live streams of customers and their server process."""

import json
import os
import signal
import time

import pytest

from harness.installation import Installation
from harness.shop import Shop
from harness.streams import (
    CUSTOMER_STREAM,
    somebody,
    watching,
)
from harness.visitors import Site, acmes_site
from harness.waiting import wait_until
from harness.world import World


@pytest.fixture
def site(shop: Shop) -> Site:
    """Acme's website."""
    return acmes_site(shop)


def test_the_duration_of_a_stream_is_not_counted_as_latency(own_shop: Shop) -> None:
    carol, _ = somebody(acmes_site(own_shop))
    began_s = time.monotonic()
    with watching(carol) as stream:
        stream.until_ready()
        time.sleep(1.5)
        took_s = time.monotonic() - began_s  # to open it may take long, and counts
    series = "shopbell_http_request_seconds_sum", f'route="{CUSTOMER_STREAM}"'

    def spent() -> list[float]:
        lines = own_shop.server.client.get("/metrics").text.splitlines()
        return [float(line.split()[1]) for line in lines if line.startswith(series[0]) and series[1] in line]

    wait_until(spent, lambda: "the stream was never counted")
    assert spent()[0] < took_s - 1


def test_streams_end_cleanly_when_the_server_stops(installation: Installation, people: World) -> None:
    with installation.serving() as server:
        site = acmes_site(Shop(server, people))
        carol, _ = somebody(site)
        with watching(carol) as stream:
            stream.until_ready()
            os.kill(server.pid, signal.SIGTERM)
            assert stream.ends()
            assert stream.is_whole


def test_a_stream_is_logged_when_it_has_ended(installation: Installation, people: World) -> None:
    with installation.serving(log_format="json", log_requests=True) as server:
        carol, _ = somebody(acmes_site(Shop(server, people)))
        began_s = time.monotonic()
        with watching(carol) as stream:
            stream.until_ready()
            assert CUSTOMER_STREAM not in server.log
        wait_until(lambda: CUSTOMER_STREAM in server.log, lambda: server.log)
        server.terminate()
    (line,) = [line for line in map(json.loads, server.log.splitlines()) if line.get("route") == CUSTOMER_STREAM]
    assert (line["method"], line["status"]) == ("GET", 200)
    assert line["duration_ms"] <= (time.monotonic() - began_s) * 1_000
