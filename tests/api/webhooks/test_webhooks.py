"""``/api/webhooks``: creating and reading webhooks."""

import re
from collections.abc import Callable, Iterator

import pytest

from harness.hooks import CANARY, HEADERS, URL, Hooks, hooks_of
from harness.shop import Shop, faults_of


@pytest.fixture
def hooks(engine: str, shops: Callable[..., Shop]) -> Iterator[Hooks]:
    with hooks_of(shops(engine, run_worker=False)) as hooks:
        yield hooks


def test_a_webhook_is_created_and_read_as_documented(hooks: Hooks) -> None:
    body = {"url": URL, "enabled": True, "subscribedEvents": ["messages", "transfers"], "extraHeaders": HEADERS[:1]}
    made = hooks.create(**body)
    secret = made.pop("secret")
    assert re.fullmatch(r"whsec_[A-Za-z0-9+/]{43}=", secret)
    assert made == {
        "id": made["id"],
        "url": URL,
        "enabled": True,
        "subscribedEvents": ["messages", "transfers"],
        "payloadVersion": "envelope",
        "extraHeaders": [{"name": "Authorization", "set": True}],
        "disabledReason": None,
        "failingSince": None,
        "createdAt": made["createdAt"],
    }
    assert made["id"].isdigit()
    assert isinstance(made["createdAt"], int)
    for path in (f"/{made['id']}", f"/{made['id']}/"):
        assert hooks.get(path).json() == made
    for path in ("", "/"):
        assert hooks.get(path).json() == {"webhooks": [made]}


def test_a_webhook_is_enabled_and_uses_the_envelope_by_default(hooks: Hooks) -> None:
    plain = hooks.create(enabled=None, payloadVersion=None, extraHeaders=None)
    other = hooks.create(enabled=False, payloadVersion="flat", subscribedEvents=["transfers"])
    assert (plain["enabled"], plain["payloadVersion"], plain["extraHeaders"]) == (True, "envelope", [])
    assert (other["enabled"], other["payloadVersion"]) == (False, "flat")
    assert [row["topic"] for row in hooks.rows("webhook_subscriptions", plain["id"])] == ["messages"]
    assert hooks.rows("webhook_subscriptions", other["id"]) == []
    assert [each["id"] for each in hooks.get().json()["webhooks"]] == [plain["id"], other["id"]]
    assert plain["secret"] != other["secret"]


def test_events_are_queued_for_subscribed_webhooks(hooks: Hooks) -> None:
    wants, other = hooks.create()["id"], hooks.create(subscribedEvents=["transfers"])["id"]
    thread_id = hooks.shop.send()
    (delivery,) = hooks.rows("deliveries", wants)
    assert (delivery["thread_id"], delivery["state"]) == (int(thread_id), "waiting")
    assert hooks.rows("deliveries", other) == []


def test_all_missing_fields_are_reported_at_once(hooks: Hooks) -> None:
    answer = hooks.post("/", {"payloadVersion": "round", "enabled": "yes"})
    assert faults_of(answer) == {
        ("body", "#/url", "required"),
        ("body", "#/subscribedEvents", "required"),
        ("body", "#/payloadVersion", "invalid_value"),
        ("body", "#/enabled", "type"),
    }


@pytest.mark.parametrize(
    ("events", "place", "code"),
    [
        ([], "", "blank"),
        (["messages", "messages"], "", "invalid_value"),
        (["messages", "orders"], "/1", "invalid_value"),
        ("messages", "", "type"),
    ],
)
def test_only_known_events_can_be_subscribed(hooks: Hooks, events: object, place: str, code: str) -> None:
    for path, body in (("/", {"url": URL}), (f"/{hooks.create()['id']}/update", {})):
        answer = hooks.post(path, body | {"subscribedEvents": events})
        assert faults_of(answer) == {("body", f"#/subscribedEvents{place}", code)}


@pytest.mark.parametrize(
    "url",
    [
        "",
        "receiver.example",
        "http://receiver.example/hook",
        "ftp://receiver.example/hook",
        "https://user:password@receiver.example/",
        "https://receiver.example/#part",
        "https://127.0.0.1/hook",
        "https://[::1]/hook",
        "https://169.254.169.254/latest",
        "https://0x7f000001/",
        "https://localhost/hook",
        "https://printer/hook",
        "https://receiver.example:0/",
        "https://receiver.example/a b",
    ],
)
def test_a_forbidden_address_is_refused_without_being_quoted(hooks: Hooks, url: str) -> None:
    for path, body in (("/", {"subscribedEvents": ["messages"]}), (f"/{hooks.create()['id']}/update", {})):
        answer = hooks.post(path, body | {"url": url})
        assert faults_of(answer) == {("body", "#/url", "invalid_format")}
        assert not url or url not in answer.text


@pytest.mark.parametrize("url", ["https://127.0.0.1/hook", "http://receiver.example/hook", "https://printer/hook"])
def test_an_address_that_the_operator_can_allow_names_the_setting(hooks: Hooks, url: str) -> None:
    answer = hooks.post("/", {"subscribedEvents": ["messages"], "url": url})
    assert "SHOPBELL_OUTBOUND_ALLOW" in answer.json()["errors"][0]["detail"]


def test_the_operator_can_allow_private_addresses(engine: str, shops: Callable[..., Shop]) -> None:
    hooks = Hooks(shops(engine, run_worker=False, outbound_allow="127.0.0.1:9000"))
    assert hooks.create(url="http://127.0.0.1:9000/hook")["url"] == "http://127.0.0.1:9000/hook"
    refused = hooks.post("/", {"url": "http://127.0.0.1:9001/", "subscribedEvents": ["messages"]})
    assert faults_of(refused) == {("body", "#/url", "invalid_format")}


@pytest.mark.parametrize(
    "name",
    [
        "Host",
        "content-type",
        "Content-Length",
        "Connection",
        "Keep-Alive",
        "Proxy-Authorization",
        "Proxy-Connection",
        "TE",
        "Trailer",
        "Transfer-Encoding",
        "Upgrade",
        "Expect",
        "Webhook-Signature",
        "webhook-anything",
        "User-Agent",
        "Accept-Encoding",
        "",
        "two words",
        "colon:",
        "ümlaut",
        "line\r\nbreak",
        "x" * 201,
    ],
)
def test_reserved_and_invalid_headers_are_refused(hooks: Hooks, name: str) -> None:
    headers = [*HEADERS, {"name": name, "value": CANARY}]
    answer = hooks.post("/", {"url": URL, "subscribedEvents": ["messages"], "extraHeaders": headers})
    assert faults_of(answer) == {("body", "#/extraHeaders/2/name", "invalid_format")}


@pytest.mark.parametrize("value", ["", " ", "ends ", " begins", "tab\there", "line\r\nX: y", "é", "\x7f", "x" * 4_097])
def test_header_values_must_be_visible_ascii(hooks: Hooks, value: str) -> None:
    body = {"extraHeaders": [{"name": "X-Shop", "value": value}]}
    answer = hooks.post(f"/{hooks.create()['id']}/update", body)
    assert faults_of(answer) == {("body", "#/extraHeaders/0/value", "invalid_format")}


def test_at_most_twenty_distinct_headers_are_allowed(hooks: Hooks) -> None:
    many = [{"name": f"X-{number}", "value": "x" * 4_096} for number in range(21)]
    made = hooks.create(extraHeaders=many[:20])
    assert len(hooks.shown(made["id"])["extraHeaders"]) == 20
    for headers, code in (
        (many, "too_long"),
        ([{"name": "X-Shop", "value": "1"}, {"name": "x-shop", "value": "2"}], "invalid_value"),
    ):
        answer = hooks.post(f"/{made['id']}/update", {"extraHeaders": headers})
        assert faults_of(answer) == {("body", "#/extraHeaders", code)}
    missing = hooks.post(f"/{made['id']}/update", {"extraHeaders": [{"name": "X-Shop"}, {"value": "x"}]})
    assert faults_of(missing) == {
        ("body", "#/extraHeaders/0/value", "required"),
        ("body", "#/extraHeaders/1/name", "required"),
    }


def test_an_organization_has_at_most_fifty_webhooks(hooks: Hooks) -> None:
    for _ in range(50):
        last = hooks.create()
    refused = hooks.post("/", {"url": URL, "subscribedEvents": ["messages"]})
    assert refused.status_code == 409
    assert hooks.create(token=hooks.shop.world.globex_token)["id"]
    assert hooks.post(f"/{last['id']}/delete").status_code == 200
    hooks.create()


def test_another_organizations_webhook_does_not_exist(hooks: Hooks) -> None:
    theirs = hooks.create(token=hooks.shop.world.globex_token)
    told = set()
    for webhook_id in (theirs["id"], "1", str(2**53 - 1), "x"):
        told.add(hooks.get(f"/{webhook_id}").json()["developerMessage"])
        for do in ("update", "delete", "rotate-secret", "test"):
            told.add(hooks.post(f"/{webhook_id}/{do}", {"url": "https://evil.example/"}).json()["developerMessage"])
    assert told == {"Resource not found"}
    assert hooks.get().json() == {"webhooks": []}
    del theirs["secret"]
    assert hooks.get(f"/{theirs['id']}", token=hooks.shop.world.globex_token).json() == theirs


def test_a_token_without_the_scope_cannot_manage_webhooks(hooks: Hooks) -> None:
    webhook_id, token = hooks.create()["id"], hooks.shop.world.reading_token
    assert hooks.get(token=token).status_code == 403
    for path in ("", f"/{webhook_id}/update", f"/{webhook_id}/delete", f"/{webhook_id}/rotate-secret"):
        assert hooks.post(path, {"url": 1}, token).json()["developerMessage"] == "Scope 'webhooks:manage' is missing"
    assert hooks.shown(webhook_id)


def test_changes_of_a_webhook_are_audited(hooks: Hooks) -> None:
    webhook_id = hooks.create()["id"]
    hooks.update(webhook_id, enabled=True)
    for do in ("rotate-secret", "test", "delete"):
        assert hooks.post(f"/{webhook_id}/{do}").status_code == 200
    sql = "SELECT action, actor FROM audit_entries WHERE subject = :subject ORDER BY id"
    entries = hooks.shop.database.rows(sql, subject=f"webhook {webhook_id}")
    done = ["create", "update", "rotate-secret", "test", "delete"]
    assert [entry["action"] for entry in entries] == [f"webhook.{action}" for action in done]
    assert {entry["actor"] for entry in entries} == {f"token {hooks.shop.world.token_id}"}
