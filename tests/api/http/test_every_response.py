"""What all responses share: request ids, error shape, nothing echoed."""

import re
import uuid

import httpx2
import pytest

from harness import raw
from harness.shop import WIDGET, Shop

UUID = re.compile("[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
PROBLEMS = {
    "validation-error": 400,
    "bad-request": 400,
    "unauthorized": 401,
    "business-not-in-organization": 403,
    "forbidden": 403,
    "not-found": 404,
    "method-not-allowed": 405,
    "request-timeout": 408,
    "conflict": 409,
    "content-too-large": 413,
    "idempotency-key-reused": 422,
    "quota-exceeded": 429,
    "header-fields-too-large": 431,
    "internal-error": 500,
    "temporarily-unavailable": 503,
}


def _errors(shop: Shop) -> dict[str, httpx2.Response]:
    """One answer of each kind of error that a request alone can bring about."""
    client = shop.server.client
    key = shop.somebody()
    shop.send(key=key)
    return {
        "no token": shop.post(shop.body(), token=None),
        "malformed": shop.post(b"{"),
        "not valid": shop.post(b"{}"),
        "foreign business": shop.post(shop.body(businessId=shop.world.london)),
        "no scope": shop.post(shop.body(), token=shop.world.reading_token),
        "too large": shop.post(b" " * 262_145),
        "key reused": shop.post(shop.body(), headers={"Idempotency-Key": key}),
        "unknown route": client.get("/no/such/page"),
        "unknown API route": client.post("/api/no-such-route", json={}),
        "wrong method": client.get(WIDGET),
        "unknown method": client.request("BREW", WIDGET),
        "large header": client.get("/", headers={"X-Large": "x" * 20_000}),
    }


def test_all_errors_have_the_same_shape(shop: Shop) -> None:
    for name, answer in _errors(shop).items():
        assert answer.headers["content-type"] == "application/problem+json", name
        problem = answer.json()
        assert {"type", "title", "status", "detail", "instance", "developerMessage"} <= problem.keys(), name
        assert problem["status"] == answer.status_code, name
        kind = problem["type"].removeprefix("/problems/")
        assert PROBLEMS[kind] == answer.status_code, name
        assert ("errors" in problem) == (kind == "validation-error"), name
        assert problem["instance"] == f"urn:uuid:{answer.headers['x-request-id']}", name
        for text in (problem["title"], problem["detail"], problem["developerMessage"]):
            assert isinstance(text, str), name
            assert text, name


def test_errors_of_the_http_layer_have_the_same_shape(shop: Shop) -> None:
    requests = {
        "no Host": b"GET / HTTP/1.1\r\n\r\n",
        "two Hosts": b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        "contradicting lengths": b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx",
        "no HTTP at all": b"\x16\x03\x01 hello\r\n\r\n",
    }
    for name, request in requests.items():
        answer = raw.exchange(shop.server.port, request)
        assert answer.status == 400, name
        assert answer.header("content-type") == "application/problem+json", name
        assert answer.json()["type"] == "/problems/bad-request", name
        assert answer.json()["instance"] == f"urn:uuid:{answer.header('x-request-id')}", name


def test_each_problem_type_has_a_page_on_the_server(shop: Shop) -> None:
    for name in PROBLEMS:
        page = shop.server.client.get(f"/problems/{name}")
        assert page.status_code == 200, name
        assert page.headers["content-type"].startswith("text/html"), name
        assert len(page.text) > 200, name


def test_an_unknown_problem_type_has_no_page(shop: Shop) -> None:
    answer = shop.server.client.get("/problems/no-such-problem")
    assert answer.status_code == 404
    assert answer.json()["type"] == "/problems/not-found"


def test_an_unknown_route_is_a_404_in_json(shop: Shop) -> None:
    for path in ("/nope", "/api", "/api/", "/api/widget", f"{WIDGET}/more", f"{WIDGET}2", "/API/widget", "/%00"):
        answer = shop.server.client.get(path)
        assert answer.status_code == 404, path
        assert answer.json()["developerMessage"] == "Resource not found", path


def test_a_wrong_method_is_a_405_with_the_allowed_methods(shop: Shop) -> None:
    for method in ("GET", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS"):
        answer = shop.server.client.request(method, WIDGET)
        assert answer.status_code == 405, method
        assert answer.headers["allow"] == "POST", method
        assert answer.headers["content-type"] == "application/problem+json", method
        if method != "HEAD":
            assert answer.json()["type"] == "/problems/method-not-allowed", method


def test_a_wrong_method_is_a_405_on_every_route(shop: Shop) -> None:
    for path in ("/", "/healthz", "/readyz", "/metrics", "/openapi.json", "/docs", "/problems/not-found"):
        answer = shop.server.client.delete(path)
        assert answer.status_code == 405, path
        assert "GET" in answer.headers["allow"], path


def test_responses_below_api_are_json(shop: Shop) -> None:
    right = shop.post(shop.body())
    assert right.headers["content-type"] == "application/json"
    assert shop.server.client.get("/api/x").headers["content-type"] == "application/problem+json"


def test_every_response_has_a_unique_request_id(shop: Shop) -> None:
    answers = [*_errors(shop).values(), shop.post(shop.body()), shop.post(shop.body())]
    answers += [
        shop.server.client.get(path) for path in ("/", "/healthz", "/readyz", "/metrics", "/openapi.json", "/docs")
    ]
    ids = [answer.headers["x-request-id"] for answer in answers]
    assert all(UUID.fullmatch(id_) for id_ in ids)
    assert len(set(ids)) == len(ids)


def test_a_clients_uuid_becomes_the_request_id(shop: Shop) -> None:
    own = str(uuid.uuid4())
    assert shop.post(shop.body(), headers={"X-Request-Id": own}).headers["x-request-id"] == own
    refused = shop.post(b"{}", headers={"X-Request-Id": own})
    assert refused.headers["x-request-id"] == own
    assert refused.json()["instance"] == f"urn:uuid:{own}"
    assert shop.server.client.get("/nope", headers={"X-Request-Id": own}).headers["x-request-id"] == own
    assert shop.server.client.get("/healthz", headers={"X-Request-Id": own}).headers["x-request-id"] == own


NO_UUIDS = [
    "",
    "1",
    "not-a-uuid",
    "x" * 36,
    "0193a5d26c1e7c3a9f0e2d1b7a4c5e6f0",
    "{0193a5d2-6c1e-7c3a-9f0e-2d1b7a4c5e6f}",
    "0193a5d2-6c1e-7c3a-9f0e-2d1b7a4c5e6g",
]


@pytest.mark.parametrize("wrong", NO_UUIDS)
def test_a_request_id_that_is_not_a_uuid_is_ignored(shop: Shop, wrong: str) -> None:
    answer = shop.post(shop.body(), headers={"X-Request-Id": wrong})
    assert answer.headers["x-request-id"] != wrong
    assert UUID.fullmatch(answer.headers["x-request-id"])


CANARY = "c4n4ry"


def test_submitted_values_are_never_echoed(shop: Shop) -> None:
    client = shop.server.client
    wrong = [
        shop.post(shop.body(businessId=CANARY)),
        shop.post(shop.body(businessId=[CANARY])),
        shop.post(shop.body(message={CANARY: CANARY})),
        shop.post(shop.body(message=CANARY * 5_000)),
        shop.post(shop.body(message=CANARY + "\0")),
        shop.post(shop.body(user=CANARY)),
        shop.post(shop.body(user={"email": CANARY})),
        shop.post(shop.body(user={"email": f"{CANARY}@{CANARY}"})),
        shop.post(shop.body(user={"phoneNumber": CANARY})),
        shop.post(shop.body(user={"email": shop.somebody(), "locale": f"{CANARY}-{CANARY}-{CANARY}-!"})),
        shop.post(shop.body(businessId="1", user={"email": f"{CANARY}@example.com"})),
        shop.post(f'{{"{CANARY}": {CANARY}}}'.encode()),
        shop.post(f'["{CANARY}"]'.encode()),
        shop.post(shop.body(), headers={"Content-Type": CANARY}),
        shop.post(shop.body(), headers={"Content-Encoding": CANARY}),
        shop.post(shop.body(), headers={"Idempotency-Key": f"{CANARY} {CANARY}"}),
        shop.post(shop.body(), headers={"X-Request-Id": CANARY}, token=CANARY),
        client.get(f"/{CANARY}"),
        client.get(f"/api/{CANARY}?{CANARY}={CANARY}"),
        client.get(f"/problems/{CANARY}"),
        client.request(CANARY.upper(), WIDGET),
        client.get("/", headers={CANARY: "x" * 20_000}),
    ]
    for number, answer in enumerate(wrong):
        assert answer.status_code >= 400, number
        assert CANARY not in answer.text.lower(), number
        assert CANARY not in str(answer.headers).lower(), number


def test_a_head_request_returns_headers_and_no_body(shop: Shop) -> None:
    answer = shop.server.client.head("/healthz")
    assert answer.status_code in (200, 405)
    assert answer.content == b""
    assert UUID.fullmatch(answer.headers["x-request-id"])
