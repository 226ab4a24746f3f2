"""``/api/webhooks``: who is told of events, and where."""

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import httpx2
import pytest

from harness.shop import Shop, faults_of

HOOKS = "/api/webhooks"
URL = "https://receiver.example/hook"
CANARY = "canaryheadervalue"
HEADERS = [{"name": "Authorization", "value": f"Bearer {CANARY}"}, {"name": "X-Shop", "value": f"{CANARY}-too"}]


@dataclass
class Hooks:
    """Acme's webhooks, at a server that delivers nothing by itself; all that was answered is kept."""

    shop: Shop
    answers: list[httpx2.Response] = field(default_factory=list)

    def post(self, path: str = "", body: object = None, token: str = "") -> httpx2.Response:
        self.answers.append(self.shop.post(body or {}, path=HOOKS + path, token=token))
        return self.answers[-1]

    def get(self, path: str = "", token: str = "") -> httpx2.Response:
        headers = {"token": token or self.shop.world.token}
        self.answers.append(self.shop.server.client.get(HOOKS + path, headers=headers))
        return self.answers[-1]

    def create(self, token: str = "", **fields: Any) -> dict[str, Any]:
        answer = self.post("/", {"url": URL, "subscribedEvents": ["messages"]} | fields, token)
        assert answer.status_code == 200, answer.text
        made: dict[str, Any] = answer.json()
        return made

    def update(self, webhook_id: str, **fields: Any) -> None:
        answer = self.post(f"/{webhook_id}/update", fields)
        assert (answer.status_code, answer.json()) == (200, {"result": "ok"})

    def shown(self, webhook_id: str) -> dict[str, Any]:
        answer = self.get(f"/{webhook_id}")
        assert answer.status_code == 200, answer.text
        shown: dict[str, Any] = answer.json()
        return shown

    def rows(self, table: str, webhook_id: str) -> list[dict[str, Any]]:
        sql = f"SELECT * FROM {table} WHERE webhook_id = :id ORDER BY 1, 2, 3"
        return self.shop.database.rows(sql, id=int(webhook_id))

    def row(self, webhook_id: str) -> dict[str, Any]:
        (row,) = self.shop.database.rows("SELECT * FROM webhooks WHERE id = :id", id=int(webhook_id))
        return row

    def switched_off(self, webhook_id: str, reason: str) -> None:
        """As the worker does when a receiver fails for days, or says that it is gone."""
        sql = "UPDATE webhooks SET enabled = false, disabled_reason = :reason, failures = 25, failing_since_ms = 1000 "
        assert self.shop.database.change(f"{sql} WHERE id = :id", reason=reason, id=int(webhook_id)) == 1


@pytest.fixture
def hooks(engine: str, shops: Callable[..., Shop]) -> Iterator[Hooks]:
    shop = shops(engine, run_worker=False)
    yield Hooks(shop)
    for table in ("webhook_subscriptions", "delivery_queues", "deliveries", "delivery_attempts", "webhooks"):
        shop.database.change(f"DELETE FROM {table}")


def test_a_webhook_is_made_and_read_as_documented(hooks: Hooks) -> None:
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


def test_a_webhook_is_enabled_and_in_the_envelope_unless_said_otherwise(hooks: Hooks) -> None:
    plain = hooks.create(enabled=None, payloadVersion=None, extraHeaders=None)
    other = hooks.create(enabled=False, payloadVersion="flat", subscribedEvents=["transfers"])
    assert (plain["enabled"], plain["payloadVersion"], plain["extraHeaders"]) == (True, "envelope", [])
    assert (other["enabled"], other["payloadVersion"]) == (False, "flat")
    assert [row["topic"] for row in hooks.rows("webhook_subscriptions", plain["id"])] == ["messages"]
    assert hooks.rows("webhook_subscriptions", other["id"]) == []
    assert [each["id"] for each in hooks.get().json()["webhooks"]] == [plain["id"], other["id"]]
    assert plain["secret"] != other["secret"]


def test_events_are_promised_to_the_webhooks_that_want_them(hooks: Hooks) -> None:
    wants, other = hooks.create()["id"], hooks.create(subscribedEvents=["transfers"])["id"]
    thread_id = hooks.shop.send()
    (delivery,) = hooks.rows("deliveries", wants)
    assert (delivery["thread_id"], delivery["state"]) == (int(thread_id), "waiting")
    assert hooks.rows("deliveries", other) == []


def test_what_is_missing_is_told_all_at_once(hooks: Hooks) -> None:
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
def test_an_address_that_may_not_be_reached_is_refused_without_being_quoted(hooks: Hooks, url: str) -> None:
    for path, body in (("/", {"subscribedEvents": ["messages"]}), (f"/{hooks.create()['id']}/update", {})):
        answer = hooks.post(path, body | {"url": url})
        assert faults_of(answer) == {("body", "#/url", "invalid_format")}
        assert not url or url not in answer.text


def test_the_operator_may_let_private_addresses_through(engine: str, shops: Callable[..., Shop]) -> None:
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
def test_headers_that_are_ours_or_none_are_refused(hooks: Hooks, name: str) -> None:
    headers = [*HEADERS, {"name": name, "value": CANARY}]
    answer = hooks.post("/", {"url": URL, "subscribedEvents": ["messages"], "extraHeaders": headers})
    assert faults_of(answer) == {("body", "#/extraHeaders/2/name", "invalid_format")}


@pytest.mark.parametrize("value", ["", " ", "ends ", " begins", "tab\there", "line\r\nX: y", "é", "\x7f", "x" * 4_097])
def test_values_of_headers_are_visible_ascii(hooks: Hooks, value: str) -> None:
    body = {"extraHeaders": [{"name": "X-Shop", "value": value}]}
    answer = hooks.post(f"/{hooks.create()['id']}/update", body)
    assert faults_of(answer) == {("body", "#/extraHeaders/0/value", "invalid_format")}


def test_twenty_headers_may_be_sent_and_none_twice(hooks: Hooks) -> None:
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


def test_only_what_is_sent_changes(hooks: Hooks) -> None:
    made = hooks.create(extraHeaders=HEADERS)
    del made["secret"]
    changes = {
        "url": "https://receiver.example/other",
        "enabled": False,
        "subscribedEvents": ["transfers", "messages"],
        "extraHeaders": HEADERS[1:],
        "payloadVersion": "flat",
    }
    shown = changes | {
        "subscribedEvents": ["messages", "transfers"],
        "extraHeaders": [{"name": "X-Shop", "set": True}],
    }
    for name, value in changes.items():
        hooks.update(made["id"], **{name: value})
        made[name] = shown[name]
        assert hooks.shown(made["id"]) == made
    hooks.update(made["id"])
    hooks.update(made["id"], url=None, enabled=None, subscribedEvents=None, extraHeaders=None, payloadVersion=None)
    assert hooks.shown(made["id"]) == made
    hooks.update(made["id"], extraHeaders=[])
    assert hooks.shown(made["id"])["extraHeaders"] == []


@pytest.mark.parametrize(
    ("url", "kept"),
    [
        ("https://receiver.example/elsewhere?x=1", True),
        ("https://RECEIVER.example:443/hook", True),
        ("https://receiver.example:8443/hook", False),
        ("https://other.example/hook", False),
        ("https://receiver.example.other.example/hook", False),
    ],
)
def test_another_place_gets_none_of_the_headers(hooks: Hooks, url: str, kept: bool) -> None:
    made = hooks.create(extraHeaders=HEADERS)
    hooks.update(made["id"], url=url)
    assert bool(hooks.shown(made["id"])["extraHeaders"]) == kept
    assert (hooks.row(made["id"])["sealed_extra_headers"] is not None) == kept


def test_another_scheme_gets_none_of_the_headers(engine: str, shops: Callable[..., Shop]) -> None:
    hooks = Hooks(shops(engine, run_worker=False, outbound_allow="127.0.0.1:9000"))
    made = hooks.create(url="https://127.0.0.1:9000/", extraHeaders=HEADERS)
    hooks.update(made["id"], url="http://127.0.0.1:9000/")
    assert hooks.shown(made["id"])["extraHeaders"] == []


def test_headers_sent_with_another_place_go_there(hooks: Hooks) -> None:
    made = hooks.create(extraHeaders=HEADERS)
    hooks.update(made["id"], url="https://other.example/hook", extraHeaders=HEADERS[1:])
    assert hooks.shown(made["id"])["extraHeaders"] == [{"name": "X-Shop", "set": True}]


def test_secrets_are_in_no_answer_no_log_and_no_table(hooks: Hooks) -> None:
    made = hooks.create(extraHeaders=HEADERS)
    created = hooks.answers.pop()
    assert CANARY not in created.text
    hooks.update(made["id"], extraHeaders=list(reversed(HEADERS)))
    hooks.shown(made["id"])
    hooks.get()
    refused = hooks.post(f"/{made['id']}/update", {"extraHeaders": [*HEADERS, *HEADERS], "url": f"http://{CANARY}/"})
    assert refused.status_code == 400
    again = hooks.post(f"/{made['id']}/rotate-secret")
    hooks.answers.remove(again)
    secrets = [CANARY, made["secret"].removeprefix("whsec_"), again.json()["secret"].removeprefix("whsec_")]
    places = [answer.text for answer in hooks.answers] + [hooks.shop.server.log]
    places += [json.dumps(hooks.row(made["id"]))]
    places += [json.dumps(hooks.shop.database.rows("SELECT * FROM audit_entries"))]
    for secret in secrets:
        assert [place for place in places if secret in place] == []


def test_a_secret_is_replaced_and_the_old_one_signs_for_a_day_more(hooks: Hooks) -> None:
    made = hooks.create()
    before = hooks.row(made["id"])
    answer = hooks.post(f"/{made['id']}/rotate-secret")
    assert answer.status_code == 200
    assert set(answer.json()) == {"secret"}
    assert answer.json()["secret"] not in (made["secret"], "")
    after = hooks.row(made["id"])
    assert after["sealed_old_secret"] == before["sealed_secret"]
    assert after["sealed_secret"] != before["sealed_secret"]
    day_ms = 24 * 60 * 60 * 1000
    assert 0 <= after["old_secret_expires_at_ms"] - made["createdAt"] - day_ms < 60_000


def test_a_deleted_webhook_is_gone_with_its_secrets(hooks: Hooks) -> None:
    made, other = hooks.create(extraHeaders=HEADERS), hooks.create()
    hooks.post(f"/{made['id']}/rotate-secret")
    hooks.shop.send()
    answer = hooks.post(f"/{made['id']}/delete/")
    assert (answer.status_code, answer.json()) == (200, {"result": "ok"})
    for again in (hooks.get(f"/{made['id']}"), *(hooks.post(f"/{made['id']}/{do}") for do in ("delete", "update"))):
        assert again.status_code == 404
    assert [each["id"] for each in hooks.get().json()["webhooks"]] == [other["id"]]
    row = hooks.row(made["id"])
    kept = (row["sealed_secret"], row["sealed_old_secret"], row["sealed_extra_headers"])
    assert kept == ("", None, None)
    hooks.shop.send()
    assert [delivery["state"] for delivery in hooks.rows("deliveries", made["id"])] == ["skipped"]
    assert hooks.rows("delivery_queues", made["id"]) == []
    assert [delivery["state"] for delivery in hooks.rows("deliveries", other["id"])] == ["waiting"] * 2


def test_a_webhook_that_its_owner_switches_off_is_told_nothing_of_that_time(hooks: Hooks) -> None:
    webhook_id = hooks.create()["id"]
    thread_id = hooks.shop.send()
    hooks.update(webhook_id, enabled=False)
    hooks.shop.send()
    assert [delivery["state"] for delivery in hooks.rows("deliveries", webhook_id)] == ["skipped"]
    assert hooks.rows("delivery_queues", webhook_id) == []
    hooks.update(webhook_id, enabled=True)
    hooks.shop.send(user={"email": hooks.shop.somebody()})
    assert [delivery["state"] for delivery in hooks.rows("deliveries", webhook_id)] == ["skipped", "waiting"]
    (queue,) = hooks.rows("delivery_queues", webhook_id)
    assert queue["thread_id"] != int(thread_id)


@pytest.mark.parametrize("reason", ["failing", "gone"])
def test_a_webhook_that_was_switched_off_for_failing_gets_what_was_held_in_order(hooks: Hooks, reason: str) -> None:
    webhook_id = hooks.create()["id"]
    user = {"email": hooks.shop.somebody()}
    hooks.shop.send(user=user)
    hooks.switched_off(webhook_id, reason)
    # Its first event was put into a queue of its own meanwhile, and has long been tried.
    database = hooks.shop.database
    database.change("UPDATE deliveries SET attempts = 14, step = 14, first_attempt_at_ms = 1")
    database.change("UPDATE delivery_queues SET background = position, due_at_ms = 9999999999999")
    hooks.shop.send(user=user)
    hooks.shop.send(user=user)
    shown = hooks.shown(webhook_id)
    assert (shown["enabled"], shown["disabledReason"], shown["failingSince"]) == (False, reason, 1000)
    hooks.update(webhook_id, url=URL)  # nothing about being enabled
    assert hooks.shown(webhook_id)["disabledReason"] == reason
    hooks.update(webhook_id, enabled=True)
    shown = hooks.shown(webhook_id)
    assert (shown["enabled"], shown["disabledReason"], shown["failingSince"]) == (True, None, None)
    assert hooks.row(webhook_id)["failures"] == 0
    held = hooks.rows("deliveries", webhook_id)
    assert [(each["state"], each["step"], each["first_attempt_at_ms"]) for each in held] == [("waiting", 0, None)] * 3
    (queue,) = hooks.rows("delivery_queues", webhook_id)
    assert (queue["background"], queue["position"]) == (0, held[0]["position"])
    assert queue["due_at_ms"] < 9999999999999


def test_its_owner_may_switch_off_for_good_what_was_switched_off_for_failing(hooks: Hooks) -> None:
    webhook_id = hooks.create()["id"]
    hooks.shop.send()
    hooks.switched_off(webhook_id, "failing")
    hooks.update(webhook_id, enabled=False)
    hooks.shop.send()
    assert hooks.shown(webhook_id)["disabledReason"] is None
    assert [delivery["state"] for delivery in hooks.rows("deliveries", webhook_id)] == ["skipped"]


def test_topics_can_change_while_a_webhook_is_held(hooks: Hooks) -> None:
    webhook_id = hooks.create(subscribedEvents=["transfers"])["id"]
    hooks.switched_off(webhook_id, "failing")
    hooks.update(webhook_id, subscribedEvents=["messages"])
    hooks.shop.send()
    assert [delivery["state"] for delivery in hooks.rows("deliveries", webhook_id)] == ["waiting"]


def test_an_organization_has_at_most_fifty_webhooks(hooks: Hooks) -> None:
    for _ in range(50):
        last = hooks.create()
    refused = hooks.post("/", {"url": URL, "subscribedEvents": ["messages"]})
    assert refused.status_code == 409
    assert hooks.create(token=hooks.shop.world.globex_token)["id"]
    assert hooks.post(f"/{last['id']}/delete").status_code == 200
    hooks.create()


def test_a_webhook_of_somebody_else_does_not_exist(hooks: Hooks) -> None:
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


def test_a_token_without_the_scope_manages_no_webhooks(hooks: Hooks) -> None:
    webhook_id, token = hooks.create()["id"], hooks.shop.world.reading_token
    assert hooks.get(token=token).status_code == 403
    for path in ("", f"/{webhook_id}/update", f"/{webhook_id}/delete", f"/{webhook_id}/rotate-secret"):
        assert hooks.post(path, {"url": 1}, token).json()["developerMessage"] == "Scope 'webhooks:manage' is missing"
    assert hooks.shown(webhook_id)


def test_who_changed_a_webhook_is_in_the_audit(hooks: Hooks) -> None:
    webhook_id = hooks.create()["id"]
    hooks.update(webhook_id, enabled=True)
    for do in ("rotate-secret", "test", "delete"):
        assert hooks.post(f"/{webhook_id}/{do}").status_code == 200
    sql = "SELECT action, actor FROM audit_entries WHERE subject = :subject ORDER BY id"
    entries = hooks.shop.database.rows(sql, subject=f"webhook {webhook_id}")
    done = ["create", "update", "rotate-secret", "test", "delete"]
    assert [entry["action"] for entry in entries] == [f"webhook.{action}" for action in done]
    assert {entry["actor"] for entry in entries} == {f"token {hooks.shop.world.token_id}"}
