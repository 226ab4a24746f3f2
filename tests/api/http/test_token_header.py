"""The token header is checked before anything else."""

import time
from datetime import UTC, datetime, timedelta

from harness import raw
from harness.shop import WIDGET, Shop
from harness.waiting import ask_until_obeyed
from harness.world import World

JSON = ("Content-Type", "application/json")
NOBODYS = "sb_live_" + "0" * 49


def _variants(world: World) -> dict[str, list[tuple[str, str]]]:
    last = "A" if world.token[-1] != "A" else "B"
    return {
        "empty": [("token", "")],
        "blank": [("token", "   ")],
        "malformed": [("token", "your-api-token")],
        "not even ASCII": [("token", "sb_live_\xe9\xff")],
        "unknown": [("token", NOBODYS)],
        "of a wrong checksum": [("token", world.token[:-1] + last)],
        "cut short": [("token", world.token[:-1])],
        "too long": [("token", world.token + "0")],
        "in another case": [("token", world.token.swapcase())],
        "revoked": [("token", world.revoked_token)],
        "expired": [("token", world.expired_token)],
        "sent twice": [("token", world.token), ("token", world.token)],
        "sent twice, once wrong": [("token", world.token), ("token", NOBODYS)],
        "beside another header": [("token", NOBODYS), ("Authorization", f"Bearer {world.token}")],
    }


def test_all_invalid_tokens_get_the_same_response_except_for_the_instance(shop: Shop) -> None:
    body = b'{"businessId": "12345", "message": "Hello", "user": {"email": "carol@example.com"}}'
    before = shop.count("messages WHERE from_customer")
    seen = {}
    for name, headers in _variants(shop.world).items():
        answer = shop.post_raw(body, *headers, JSON)
        assert answer.status == 401, name
        request_id = answer.header("x-request-id") or ""
        assert answer.json()["instance"] == f"urn:uuid:{request_id}", name
        seen[name] = (
            answer.body.replace(request_id.encode(), b"ID"),
            tuple(header for header in answer.headers if header[0] not in ("x-request-id", "date")),
        )
    assert len(set(seen.values())) == 1, seen
    assert shop.count("messages WHERE from_customer") == before


def test_a_401_explains_how_to_authenticate_and_what_is_wrong(shop: Shop) -> None:
    answer = shop.post(shop.body(), token=None)
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == 'ApiToken realm="api"'
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["type"] == "/problems/unauthorized"
    assert answer.json()["status"] == 401
    assert answer.json()["developerMessage"] == "Header 'token' is not a valid API token"
    assert "errors" not in answer.json()


def test_a_missing_header_is_reported(shop: Shop) -> None:
    answer = shop.post(shop.body(), token=None)
    assert answer.json()["detail"] == "Header 'token' is missing."
    stream = shop.server.client.get("/api/stream")
    assert stream.json()["detail"] == "Header 'token' is missing."


def test_a_bearer_token_is_told_which_header_to_use(shop: Shop) -> None:
    bearer = {"Authorization": f"Bearer {shop.world.token}"}
    answer = shop.post(shop.body(), token=None, headers=bearer)
    assert answer.status_code == 401
    assert answer.json()["detail"] == (
        "Header 'token' is missing. Send the API token there: 'Authorization' is not read."
    )
    assert answer.json()["developerMessage"] == "Header 'token' is not a valid API token"
    assert shop.world.token not in answer.text


def test_the_header_name_is_case_insensitive(shop: Shop) -> None:
    answer = shop.post_raw(b"{}", ("ToKeN", shop.world.token), JSON)
    assert answer.status == 400


def test_without_a_valid_token_the_body_is_not_validated(shop: Shop) -> None:
    for body in (b"", b"not json", b"{}", b"[]", b"\xff", b'{"businessId": "1"}'):
        answer = shop.post(body, token=None, headers={"Content-Type": "text/plain"})
        assert answer.status_code == 401, body


def test_without_a_valid_token_the_response_comes_before_the_body_has_arrived(shop: Shop) -> None:
    head = f"POST {WIDGET} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n"
    assert raw.exchange(shop.server.port, head.encode()).status == 401


def test_without_a_valid_token_a_body_over_the_limit_is_a_401(shop: Shop) -> None:
    assert shop.post(b" " * 300_000, token=None).status_code == 401


def test_a_valid_token_without_the_scope_is_forbidden_and_the_scope_is_named(shop: Shop) -> None:
    before = shop.count("messages WHERE from_customer")
    answer = shop.post(shop.body(), token=shop.world.reading_token)
    assert answer.status_code == 403
    assert answer.json()["type"] == "/problems/forbidden"
    assert "widget:send" in answer.json()["developerMessage"]
    assert shop.count("messages WHERE from_customer") == before


def test_two_live_tokens_of_an_organization_both_work(shop: Shop) -> None:
    email = shop.somebody()
    first = shop.send(user={"email": email})
    second = shop.send(user={"email": email}, token=shop.world.second_token)
    assert first == second


def test_a_revoked_token_is_refused_within_a_second(shop: Shop) -> None:
    spare = shop.spare_token()
    # The hard case: the server has looked the token up a moment ago, and is asked for it all the time.
    shop.send(token=spare["token"])
    shop.database.change("UPDATE api_tokens SET revoked_at_ms = 1 WHERE id = :id", id=int(spare["id"]))
    ask_until_obeyed(
        lambda: shop.post(shop.body(), token=spare["token"]).status_code != 200,
        "the revoked token still works after 1 s",
    )
    assert shop.post(shop.body(), token=spare["token"]).status_code == 401
    assert shop.post(shop.body()).status_code == 200


def test_a_token_revoked_by_the_command_line_is_refused(shop: Shop) -> None:
    spare = shop.spare_token()
    shop.send(token=spare["token"])
    shop.server.installation.cli("token", "revoke", spare["id"])
    ask_until_obeyed(
        lambda: shop.post(shop.body(), token=spare["token"]).status_code != 200,
        "the revoked token still works after 1 s",
    )
    assert shop.post(shop.body(), token=spare["token"]).status_code == 401


def test_a_token_created_while_the_server_runs_works_at_once_until_it_expires(shop: Shop) -> None:
    expires_at = datetime.now(UTC) + timedelta(hours=1)
    made = shop.server.installation.cli(
        "token", "create", "--organization", shop.world.acme, "--expires", expires_at.isoformat()
    )
    expiry = "SELECT expires_at_ms FROM api_tokens WHERE id = :id"
    assert shop.database.value(expiry, id=int(made["id"])) == int(expires_at.timestamp() * 1_000)
    shop.send(token=made["token"])
    now_ms = int(time.time() * 1_000)
    shop.database.change("UPDATE api_tokens SET expires_at_ms = :now WHERE id = :id", now=now_ms, id=int(made["id"]))
    ask_until_obeyed(
        lambda: shop.post(shop.body(), token=made["token"]).status_code != 200, "the expired token still works"
    )
    assert shop.post(shop.body(), token=made["token"]).status_code == 401


def test_a_token_is_stored_only_as_a_keyed_hash(shop: Shop) -> None:
    shop.send()
    rows = shop.database.rows("SELECT * FROM api_tokens")
    assert len(rows) >= 6
    for row in rows:
        assert len(row["token_hash"]) == 64
        assert not any(secret in str(row) for secret in (shop.world.token, shop.world.globex_token))
