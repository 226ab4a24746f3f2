"""Employees' browsers are notified of what concerns them, and of nothing else."""

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest

from harness.employees import Hired, deactivate, hire
from harness.inbox import catch_up
from harness.installation import SECRET_KEY, Installation
from harness.push_service import PushBrowser, PushService, push_service
from harness.shop import Shop, faults_of
from harness.world import World
from shopbell.accounts.roles import Roles
from shopbell.db.connect import open_database
from shopbell.db.database import Database
from shopbell.db.installation import PauseReason, pause_deliveries
from shopbell.realtime.hub import PubSub
from shopbell.runtime.clock import now_ms
from shopbell.security.encryption import Cipher
from shopbell.security.keys import Keys
from shopbell.settings.settings import load
from shopbell.web_push import decisions, outbox, subscriptions, vapid
from shopbell.web_push.decisions import DELAY_MS, OLD_MS
from shopbell.web_push.outbox import LEASE_MS, RETRY_AFTER_MS
from shopbell.web_push.sender import PushSender
from shopbell.web_push.subscriptions import SUBSCRIPTIONS_MAX

ROUTE = "/api/push-subscriptions"
SEND = "/api/send-message-to-customer-thread"
SECRET = "a secret of the customer"


@pytest.fixture
def shop(installation: Installation, people: World) -> Iterator[Shop]:
    """A server of its own without a worker; loopback may be reached."""
    with installation.serving(run_worker=False, outbound_allow="127.0.0.0/8") as server:
        yield Shop(server, people)


@pytest.fixture
def service() -> Iterator[PushService]:
    """A push service."""
    with push_service() as running:
        yield running


class Worker:
    """The task of the worker process, without waiting; the test takes its turns."""

    def __init__(self, database: Database, runner: asyncio.Runner) -> None:
        self.database = database
        self._runner = runner
        self.sender = PushSender(load(), database, Keys((SECRET_KEY.encode(),)), PubSub())

    def decide(self, after_ms: int = 0) -> list[int]:
        """Decide what to send, some time from now; returns the organizations with news."""
        organization_ids = self.database.read_now(decisions.find_news, 0)
        for organization_id in organization_ids:
            section = self.database.read_now(decisions.read, organization_id, now_ms=now_ms() + after_ms)
            assert section is not None
            self.database.write_now(decisions.write, section, now_ms=now_ms())
        return organization_ids

    def work(self) -> None:
        """Decide, and send all that waits."""
        self.decide()
        self.send()

    def send(self) -> None:
        """Send all that waits."""
        with self.database.engine.begin() as tx:
            tx.exec_driver_sql("UPDATE pushes SET due_at_ms = 1")

        async def run() -> None:
            await self.sender.send_due()
            await asyncio.gather(*self.sender._sending)

        self._runner.run(run())

    def close_client(self) -> None:
        """Close its connections."""
        self._runner.run(self.sender._client.close())


@pytest.fixture
def worker(shop: Shop, installation: Installation, monkeypatch: pytest.MonkeyPatch) -> Iterator[Worker]:
    """A worker in this process."""
    for name, value in installation.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("SHOPBELL_OUTBOUND_ALLOW", "127.0.0.0/8")
    with asyncio.Runner() as runner:
        database = open_database(load())
        worker = Worker(database, runner)
        yield worker
        worker.close_client()
        runner.run(database.close())


def subscribe(who: Hired, service: PushService, name: str = "alice") -> PushBrowser:
    """Let the browser of an employee subscribe."""
    browser = PushBrowser(f"{service.url}/send/{name}")
    answer = who.browser.call(ROUTE, browser.subscription)
    assert answer.status_code == 200, answer.text
    return browser


def assign(shop: Shop, thread_id: str, who: Hired) -> None:
    body = {"customerThreadId": thread_id, "employeeUserId": str(who.id)}
    assert shop.post(body, path="/api/assign-customer-thread").status_code == 200


def write_again(shop: Shop, thread_id: str) -> None:
    """The customer of a conversation writes again."""
    shop.send(user={"email": shop.identities(shop.customer_of(thread_id))["email"][0]}, message=SECRET)


def told(service: PushService, browser: PushBrowser) -> list[dict[str, Any]]:
    """The notifications that a browser received."""
    path = browser.endpoint.removeprefix(service.url)
    return [browser.decrypt(body) for to, _, body in service.received if to == path]


def test_an_employee_is_notified_of_what_concerns_them(shop: Shop, service: PushService, worker: Worker) -> None:
    alice, bob = hire(shop), hire(shop)
    of_alice, of_bob = subscribe(alice, service), subscribe(bob, service, "bob")
    mine, other, noted = shop.send(), shop.send(), shop.send()
    assign(shop, mine, alice)
    worker.work()
    write_again(shop, mine)
    write_again(shop, other)
    note = {"customerThreadId": noted, "text": SECRET, "internal": True, "mentionedUserIds": [str(alice.id)]}
    assert bob.browser.call(SEND, note).status_code == 200
    worker.work()
    found = [(each["type"], each["customerThreadId"]) for each in told(service, of_alice)]
    assert (found[0], sorted(found[1:])) == (("assigned", mine), sorted([("message", mine), ("mentioned", noted)]))
    assert told(service, of_bob) == []
    assert shop.count("pushes") == 0
    for _, headers, body in service.received:
        assert headers["authorization"].startswith("vapid t=")
        assert (headers["content-encoding"], headers["urgency"]) == ("aes128gcm", "high")
        assert SECRET.encode() not in body
    assert SECRET not in str(told(service, of_alice))


def test_an_employee_is_not_notified_of_their_own_actions(shop: Shop, service: PushService, worker: Worker) -> None:
    alice = hire(shop)
    subscribe(alice, service)
    thread_id = shop.send()
    action = {"type": "assign", "assigneeUserId": str(alice.id)}
    alice.browser.call("/api/inbox/bulk", {"action": action, "customerThreadIds": [thread_id]})
    worker.work()
    write_again(shop, thread_id)
    worker.decide()
    assert shop.count("pushes") == 1
    alice.browser.call(SEND, {"customerThreadId": thread_id, "text": "Hello!"})
    worker.send()
    assert (service.received, shop.count("pushes")) == ([], 0)


def test_names_and_texts_are_shown_only_if_the_operator_allows_it(
    shop: Shop, service: PushService, worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    alice = hire(shop)
    browser, thread_id = subscribe(alice, service), shop.send()
    assign(shop, thread_id, alice)
    worker.work()
    monkeypatch.setenv("SHOPBELL_PUSH_SHOWS_TEXT", "true")
    worker.sender._settings = load()
    write_again(shop, thread_id)
    catch_up(shop)
    worker.work()
    (hidden, shown) = told(service, browser)
    email = shop.identities(shop.customer_of(thread_id))["email"][0]
    assert {"customerName", "text"} & {*hidden} == set()
    assert (shown["customerName"], shown["text"]) == (email, SECRET)


def test_no_longer_wanted_notifications_are_dropped(shop: Shop, service: PushService, worker: Worker) -> None:
    alice = hire(shop, roles=Roles(businesses={int(shop.world.boston): "member"}))
    bob = hire(shop)
    subscribe(alice, service)
    read, passed_on, moved = (shop.send() for _ in range(3))
    for thread_id in (read, passed_on, moved):
        assign(shop, thread_id, alice)
    worker.work()
    service.received.clear()
    for thread_id in (read, passed_on, moved):
        write_again(shop, thread_id)
    worker.decide()
    assert shop.count("pushes") == 3
    alice.browser.call("/api/inbox/read", {"customerThreadId": read, "sequence": 2})
    assign(shop, passed_on, bob)
    shop.post({"customerThreadId": moved, "businessId": shop.world.paris}, path="/api/transfer-customer-thread")
    worker.send()
    assert (service.received, shop.count("pushes")) == ([], 0)


@pytest.mark.parametrize("how", ["sign-out", "leave"])
def test_a_browser_without_a_session_is_forgotten(shop: Shop, service: PushService, worker: Worker, how: str) -> None:
    alice, thread_id = hire(shop), shop.send()
    subscribe(alice, service)
    assign(shop, thread_id, alice)
    worker.decide()
    if how == "leave":
        deactivate(shop, alice.id)
    else:
        assert alice.browser.submit("/sign-out").status_code == 303
    worker.send()
    assert (service.received, shop.count("push_subscriptions"), shop.count("pushes")) == ([], 0, 0)


def test_a_newer_notification_of_a_conversation_replaces_one_that_waits(
    shop: Shop, service: PushService, worker: Worker
) -> None:
    alice, thread_id = hire(shop), shop.send()
    browser = subscribe(alice, service)
    assign(shop, thread_id, alice)
    for _ in range(3):
        write_again(shop, thread_id)
        worker.decide()
    assert shop.count("pushes") == 1
    worker.send()
    assert [each["type"] for each in told(service, browser)] == ["message"]
    (waits,) = {headers["topic"] for _, headers, _ in service.received}
    assert len(waits) == 32


def test_responses_of_the_push_service_are_obeyed(shop: Shop, service: PushService, worker: Worker) -> None:
    alice, threads = hire(shop), [shop.send() for _ in range(3)]
    subscribe(alice, service)
    service.statuses = [500, 429, 503, 500]
    assign(shop, threads[0], alice)
    worker.work()
    for attempt in range(1, len(RETRY_AFTER_MS) + 1):
        (row,) = shop.database.rows("SELECT attempts, due_at_ms FROM pushes")
        assert row["attempts"] == attempt
        assert row["due_at_ms"] > now_ms() + RETRY_AFTER_MS[attempt - 1] - 5_000
        worker.send()
    assert (shop.count("pushes"), shop.count("push_subscriptions")) == (0, 1)
    service.statuses = [400]
    assign(shop, threads[1], alice)
    worker.work()
    assert (shop.count("pushes"), shop.count("push_subscriptions")) == (0, 1)
    service.statuses = [410]
    assign(shop, threads[2], alice)
    worker.work()
    assert (shop.count("pushes"), shop.count("push_subscriptions")) == (0, 0)


@pytest.mark.parametrize("is_date", [False, True])
def test_a_push_service_chooses_the_pause_up_to_an_hour(
    shop: Shop, service: PushService, worker: Worker, is_date: bool
) -> None:
    alice = hire(shop)
    subscribe(alice, service)
    for asked_s, waits_s in ((1_800, 1_800), (86_400, 3_600)):
        begun_ms, at = now_ms(), datetime.now(UTC) + timedelta(seconds=asked_s)
        service.statuses, service.retry_after = [503], format_datetime(at, usegmt=True) if is_date else str(asked_s)
        assign(shop, shop.send(), alice)
        worker.work()
        (due_at_ms,) = shop.database.rows("SELECT MAX(due_at_ms) AS at FROM pushes")[0].values()
        assert begun_ms + waits_s * 1_000 - 1_000 <= due_at_ms <= now_ms() + waits_s * 1_000
        shop.database.change("DELETE FROM pushes")


def test_a_private_address_is_not_contacted(
    shop: Shop, service: PushService, worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    alice = hire(shop)
    subscribe(alice, service)
    monkeypatch.setenv("SHOPBELL_OUTBOUND_ALLOW", "")
    guarded = PushSender(load(), worker.database, Keys((SECRET_KEY.encode(),)), PubSub())
    allowed, worker.sender = worker.sender, guarded
    assign(shop, shop.send(), alice)
    worker.work()
    assert (service.received, shop.count("pushes")) == ([], 1)
    worker.close_client()
    worker.sender = allowed  # the control
    worker.send()
    assert len(service.received) == 1


def test_a_notification_is_sent_by_one_worker(shop: Shop, service: PushService, worker: Worker) -> None:
    alice = hire(shop)
    subscribe(alice, service)
    assign(shop, shop.send(), alice)
    first = worker.database.read_now(decisions.read, int(shop.world.acme), now_ms=now_ms())
    assert first is not None
    assert worker.database.write_now(decisions.write, first, now_ms=now_ms()) is True
    assert worker.database.write_now(decisions.write, first, now_ms=now_ms()) is False
    then_ms = now_ms() + DELAY_MS + 1_000

    def claim(at_ms: int) -> int:
        return len(worker.database.write_now(outbox.claim, shows_text=False, limit=10, now_ms=at_ms))

    assert [claim(now_ms()), claim(then_ms), claim(then_ms), claim(then_ms + LEASE_MS)] == [0, 1, 0, 1]


def test_old_events_and_feeds_without_browsers_notify_no_one(shop: Shop, service: PushService, worker: Worker) -> None:
    alice = hire(shop)
    assign(shop, shop.send(), alice)
    assert worker.decide() == []
    subscribe(alice, service)
    assert worker.decide() == []  # it happened before
    assign(shop, shop.send(), alice)
    assert worker.decide(OLD_MS + 60_000) == [int(shop.world.acme)]
    assert shop.count("pushes") == 0
    assign(shop, shop.send(), alice)
    worker.database.write_now(pause_deliveries, PauseReason.RESTORED)
    assert worker.decide() == []


def test_the_key_is_made_once_and_stored_encrypted(shop: Shop, worker: Worker) -> None:
    def key(token: str) -> str:
        answer = shop.server.client.get(f"{ROUTE}/key", headers={"token": token})
        public_key: str = answer.json()["publicKey"]
        return public_key

    first = key(shop.world.token)
    assert {key(shop.world.token), key(shop.world.globex_token)} == {first}
    (stored,) = shop.database.rows("SELECT value FROM installation WHERE name = 'sealed_web_push_key'")
    assert "PRIVATE" not in stored["value"]
    new = Keys((b"another secret of thirty-two bytes", SECRET_KEY.encode()))
    worker.database.write_now(vapid.reseal, Cipher(new, vapid.SEALING_PURPOSE))
    only_new = Cipher(Keys(new.secrets[:1]), vapid.SEALING_PURPOSE)
    pem = worker.database.read_now(vapid.find, only_new)
    assert pem is not None
    assert vapid.Vapid(pem, "").public_key == first


def test_addresses_are_stored_encrypted_and_survive_a_change_of_the_key(
    shop: Shop, service: PushService, worker: Worker
) -> None:
    browser = subscribe(hire(shop), service)
    (row,) = shop.database.rows("SELECT * FROM push_subscriptions")
    assert browser.endpoint not in str(row)
    assert browser.subscription["keys"]["auth"] not in str(row)
    new = Keys((b"another secret of thirty-two bytes", SECRET_KEY.encode()))
    worker.database.write_now(subscriptions.reseal, Cipher(new, subscriptions.SEALING_PURPOSE))
    (row,) = shop.database.rows("SELECT * FROM push_subscriptions")
    only_new = Cipher(Keys(new.secrets[:1]), subscriptions.SEALING_PURPOSE)
    address = subscriptions.Address.open(row["sealed_address"], only_new)
    assert (address.endpoint, address.keys.auth) == (browser.endpoint, browser.auth)


def test_a_browser_belongs_to_the_employee_who_subscribed_last(
    shop: Shop, service: PushService, worker: Worker
) -> None:
    alice, bob = hire(shop), hire(shop)
    browser = subscribe(alice, service)
    again = alice.browser.call(ROUTE, browser.subscription)
    assign(shop, shop.send(), alice)
    worker.decide()
    taken = bob.browser.call(ROUTE, browser.subscription)
    assert again.json() != taken.json()
    assert shop.count("push_subscriptions") == 1
    worker.send()
    assert service.received == []
    id_ = taken.json()["pushSubscriptionId"]
    assert alice.browser.call(f"{ROUTE}/{id_}/delete").status_code == 404
    assert bob.browser.call(f"{ROUTE}/{id_}/delete").status_code == 200
    assert shop.count("push_subscriptions") == 0


def test_an_employee_has_a_limited_number_of_browsers(shop: Shop, service: PushService, worker: Worker) -> None:
    alice = hire(shop)
    for number in range(SUBSCRIPTIONS_MAX + 2):
        subscribe(alice, service, f"browser-{number}")
    assert shop.count("push_subscriptions") == SUBSCRIPTIONS_MAX


def test_wrong_subscriptions_are_refused(shop: Shop, service: PushService, worker: Worker) -> None:
    alice = hire(shop)
    right = PushBrowser(f"{service.url}/send/alice").subscription
    for change, fault in (
        ({"endpoint": "https://10.0.0.1/send"}, ("body", "#/endpoint", "invalid_format")),
        ({"endpoint": "ftp://push.example/send"}, ("body", "#/endpoint", "invalid_format")),
        ({"keys": right["keys"] | {"auth": "AAAA"}}, ("body", "#/keys", "invalid_format")),
    ):
        assert faults_of(alice.browser.call(ROUTE, right | change)) == {fault}
    assert faults_of(shop.post(right, path=ROUTE)) == {("body", "#/employeeUserId", "required")}
    assert shop.count("push_subscriptions") == 0
