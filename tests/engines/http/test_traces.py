"""A server makes spans of requests, commits and deliveries, without private data."""

import json
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from opentelemetry.trace import SpanKind, StatusCode, format_span_id, format_trace_id

from harness.failing_receivers import Receivers, wait_for
from harness.installation import Installation
from harness.several import PATIENCE_S, REPLY, delivered, states, subscribe
from harness.shop import WIDGET, Shop
from harness.traces import attributes, traced, traceparent
from harness.world import World

CANARY = "canary"
TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
CONTINUED = {"traceparent": f"00-{TRACE}-{PARENT}-01", "tracestate": f"vendor={CANARY}", "baggage": f"a={CANARY}"}
STORES = f"POST {WIDGET}"


@pytest.fixture
def receivers(tmp_path: Path) -> Iterator[Receivers]:
    """Receivers of webhooks."""
    with closing(Receivers(tmp_path)) as receivers:
        yield receivers


def test_a_message_has_spans_for_request_queue_and_commit_in_the_trace_of_the_client(
    installation: Installation, people: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    with traced(installation, monkeypatch) as (server, spans):
        shop = Shop(server, people)
        answer = shop.post(shop.body(message=CANARY), headers=CONTINUED)
        assert answer.status_code == 200
    request, queued, commit = spans.one(STORES), spans.one("store message"), spans.one("commit")
    assert request.parent is not None
    assert (format_trace_id(request.parent.trace_id), format_span_id(request.parent.span_id)) == (TRACE, PARENT)
    assert (queued.parent, commit.parent) == (request.context, queued.context)
    assert request.kind is SpanKind.SERVER
    assert attributes(request) == {
        "http.request.method": "POST",
        "http.route": WIDGET,
        "http.response.status_code": 200,
        "shopbell.request_id": answer.headers["x-request-id"],
    }
    assert attributes(commit)["shopbell.messages"] == 1
    assert attributes(commit)["db.system.name"] == ("sqlite" if installation.database.is_sqlite else "postgresql")
    assert CANARY not in spans.text


@pytest.mark.parametrize("engine", ["sqlite"], indirect=True)
def test_other_requests_have_spans_named_by_their_route(
    installation: Installation, people: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    with traced(installation, monkeypatch) as (server, spans):
        shop = Shop(server, people)
        thread = shop.send()
        token = {"token": people.token}
        client = server.client
        assert client.get(f"/api/threads/{thread}/messages?limit={CANARY}", headers=token).status_code == 400
        assert client.get(f"/api/threads/{thread}/messages?limit=1", headers=token).status_code == 200
        assert client.get(f"/{CANARY}?{CANARY}={CANARY}").status_code == 404
        assert client.request("PROPFIND", "/healthz").status_code == 405
        assert client.get("/api/threads", headers={"token": CANARY}).status_code == 401
        reply = {"customerThreadId": thread, "text": CANARY}
        assert shop.post(reply, path=REPLY).status_code == 200
    pages = spans.named("GET /api/threads/{threadId}/messages")
    assert [attributes(span)["http.response.status_code"] for span in pages] == [400, 200]
    assert attributes(spans.one("GET"))["http.response.status_code"] == 404
    assert [span.name for span in spans.all if attributes(span).get("http.request.method") == "_OTHER"] != []
    reply_span = spans.one(f"POST {REPLY}")
    assert [span.parent for span in spans.named("store message")][-1] == reply_span.context
    assert len(spans.named("commit")) == 2
    assert CANARY not in spans.text.lower()
    assert people.token not in spans.text


@pytest.mark.parametrize("engine", ["sqlite"], indirect=True)
@pytest.mark.parametrize("sent", ["", "x" * 600, f"00-{'0' * 32}-{PARENT}-01", f"ff-{TRACE}-{PARENT}-01"])
def test_a_wrong_traceparent_begins_a_new_trace(
    installation: Installation, people: World, monkeypatch: pytest.MonkeyPatch, sent: str
) -> None:
    with traced(installation, monkeypatch) as (server, spans):
        shop = Shop(server, people)
        assert shop.post(shop.body(), headers={"traceparent": sent}).status_code == 200
        assert server.client.get("/healthz", headers={"traceparent": sent}).status_code == 200
    assert spans.one(STORES).parent is None
    assert spans.one("GET /healthz").parent is None


@pytest.mark.parametrize("engine", ["sqlite"], indirect=True)
def test_a_client_cannot_demand_that_its_trace_is_recorded(
    installation: Installation, people: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    with traced(installation, monkeypatch, traces_ratio=0) as (server, spans):
        shop = Shop(server, people)
        assert shop.post(shop.body(), headers=CONTINUED).status_code == 200
    assert spans.all == []


@pytest.mark.parametrize("engine", ["sqlite"], indirect=True)
def test_errors_are_marked_and_a_refused_request_has_its_span(
    installation: Installation, people: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    with traced(installation, monkeypatch) as (server, spans):
        shop = Shop(server, people)
        assert shop.post({"businessId": CANARY}).status_code == 400
        installation.database.change("ALTER TABLE threads RENAME TO threads_away")
        assert shop.post(shop.body()).status_code == 500
        installation.database.change("ALTER TABLE threads_away RENAME TO threads")
    refused, failed = spans.named(STORES)
    assert (attributes(refused)["http.response.status_code"], refused.status.status_code) == (400, StatusCode.UNSET)
    assert (attributes(failed)["http.response.status_code"], failed.status.status_code) == (500, StatusCode.ERROR)
    assert failed.events == ()
    assert CANARY not in spans.text


def test_a_delivery_has_a_span_and_its_receiver_gets_it(
    installation: Installation, people: World, monkeypatch: pytest.MonkeyPatch, receivers: Receivers
) -> None:
    receiver = receivers.add()
    with traced(installation, monkeypatch, outbound_allow="127.0.0.0/8") as (server, spans):
        shop = Shop(server, people)
        hook = subscribe(shop, receiver)
        extra = {"extraHeaders": [{"name": "Traceparent", "value": f"00-{TRACE}-{PARENT}-01"}]}
        assert shop.post(extra, path=f"/api/webhooks/{hook['id']}/update").status_code == 200
        shop.send(message=CANARY)
        delivered(shop, hook, 1)
    (request,) = receiver.requests
    span = spans.one("POST webhook")
    assert request.headers["traceparent"] == traceparent(span)
    assert span.kind is SpanKind.CLIENT
    assert attributes(span) == {
        "http.request.method": "POST",
        "http.response.status_code": 200,
        "shopbell.organization_id": int(people.acme),
        "shopbell.webhook_id": int(hook["id"]),
        "shopbell.attempt": 1,
    }
    assert str(receiver.port) not in json.dumps(attributes(span))
    assert CANARY not in spans.text


@pytest.mark.parametrize("engine", ["sqlite"], indirect=True)
def test_a_failed_delivery_is_an_error_without_its_message(
    installation: Installation, people: World, monkeypatch: pytest.MonkeyPatch, receivers: Receivers
) -> None:
    receiver = receivers.add()
    receivers.refuse(receiver)
    settings = {"outbound_allow": "127.0.0.0/8", "delivery_schedule_s": "0,0.1"}
    with traced(installation, monkeypatch, **settings) as (server, spans):
        shop = Shop(server, people)
        hook = subscribe(shop, receiver)
        shop.send()
        wait_for(lambda: states(shop, hook) == {"exhausted": 1}, PATIENCE_S, "it is not given up")
    attempts = spans.named("POST webhook")
    assert [attributes(span)["shopbell.attempt"] for span in attempts] == [1, 2]
    for span in attempts:
        assert span.status.status_code is StatusCode.ERROR
        assert span.status.description is None
        assert attributes(span)["error.type"]
        assert "http.response.status_code" not in attributes(span)
        assert span.events == ()
