"""Changing, disabling and deleting webhooks, and new secrets."""

import json
from collections.abc import Callable, Iterator

import pytest

from harness.hooks import CANARY, HEADERS, URL, Hooks, hooks_of
from harness.shop import Shop


@pytest.fixture
def hooks(engine: str, shops: Callable[..., Shop]) -> Iterator[Hooks]:
    with hooks_of(shops(engine, run_worker=False)) as hooks:
        yield hooks


def test_only_the_given_fields_change(hooks: Hooks) -> None:
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
def test_changing_the_host_drops_the_headers(hooks: Hooks, url: str, kept: bool) -> None:
    made = hooks.create(extraHeaders=HEADERS)
    hooks.update(made["id"], url=url)
    assert bool(hooks.shown(made["id"])["extraHeaders"]) == kept
    assert (hooks.row(made["id"])["sealed_extra_headers"] is not None) == kept


def test_changing_the_scheme_drops_the_headers(engine: str, shops: Callable[..., Shop]) -> None:
    hooks = Hooks(shops(engine, run_worker=False, outbound_allow="127.0.0.1:9000"))
    made = hooks.create(url="https://127.0.0.1:9000/", extraHeaders=HEADERS)
    hooks.update(made["id"], url="http://127.0.0.1:9000/")
    assert hooks.shown(made["id"])["extraHeaders"] == []


def test_headers_given_with_a_new_url_are_sent_there(hooks: Hooks) -> None:
    made = hooks.create(extraHeaders=HEADERS)
    hooks.update(made["id"], url="https://other.example/hook", extraHeaders=HEADERS[1:])
    assert hooks.shown(made["id"])["extraHeaders"] == [{"name": "X-Shop", "set": True}]


def test_secrets_are_in_no_response_log_or_table(hooks: Hooks) -> None:
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


def test_a_replaced_secret_signs_for_one_more_day(hooks: Hooks) -> None:
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


def test_deleting_a_webhook_deletes_its_secrets(hooks: Hooks) -> None:
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


def test_a_webhook_disabled_by_its_owner_gets_no_events_of_that_time(hooks: Hooks) -> None:
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
def test_a_webhook_disabled_for_failures_gets_held_events_in_order(hooks: Hooks, reason: str) -> None:
    webhook_id = hooks.create()["id"]
    user = {"email": hooks.shop.somebody()}
    hooks.shop.send(user=user)
    hooks.switched_off(webhook_id, reason)
    # In between, its first event was put into a separate queue, and has been tried for long.
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


def test_a_webhook_disabled_for_failures_can_be_disabled_by_its_owner(hooks: Hooks) -> None:
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


def test_a_webhook_with_a_lost_key_hides_no_other_and_can_get_new_secrets(hooks: Hooks) -> None:
    lost, other = hooks.create(extraHeaders=HEADERS), hooks.create(extraHeaders=HEADERS)
    sql = "UPDATE webhooks SET sealed_secret = 'x', sealed_extra_headers = 'x' WHERE id = :id"
    assert hooks.shop.database.change(sql, id=int(lost["id"])) == 1
    answer = hooks.get()
    assert answer.status_code == 200, answer.text
    names = {each["id"]: each["extraHeaders"] for each in answer.json()["webhooks"]}
    assert names == {lost["id"]: None, other["id"]: [{"name": header["name"], "set": True} for header in HEADERS]}
    assert hooks.shown(lost["id"])["extraHeaders"] is None
    assert hooks.post(f"/{lost['id']}/rotate-secret").status_code == 200
    hooks.update(lost["id"], extraHeaders=HEADERS[:1])
    assert hooks.shown(lost["id"])["extraHeaders"] == [{"name": HEADERS[0]["name"], "set": True}]
    hooks.shop.database.change(sql, id=int(lost["id"]))
    assert hooks.post(f"/{lost['id']}/delete").status_code == 200
