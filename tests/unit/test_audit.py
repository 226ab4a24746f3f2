"""Every change writes one audit entry and one event for its actor."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import Connection, create_engine, select, text

from shopbell.conversations import templates
from shopbell.customers import blocking, identities, merges
from shopbell.customers.erasure import forget
from shopbell.db.schema.core import audit_entries, metadata
from shopbell.db.schema.webhooks import events
from shopbell.events.actors import SYSTEM, Actor
from shopbell.inbox import saved_replies, saved_views, tags
from shopbell.organizations import api_tokens, employees, identity_secrets, organizations, publishable_keys
from shopbell.security.encryption import Cipher
from shopbell.security.keys import Keys
from shopbell.webhooks import delivery_log, endpoints, push_urls

KEYS = Keys((b"a secret of at least thirty-two bytes",))
CIPHER = Cipher(KEYS, endpoints.SEALING_PURPOSE)
ALICE = Actor("employee", 7)
NOW_MS = 1_800_000_000_000
BY_ALICE = {"actor": ALICE.name, "now_ms": NOW_MS}
AS_ALICE = {"actor": ALICE, "now_ms": NOW_MS}
"""For changes that are also events."""


@pytest.fixture
def tx() -> Iterator[Connection]:
    """A transaction in a new SQLite database."""
    engine = create_engine("sqlite://")
    with engine.begin() as connection:
        metadata.create_all(connection)
        connection.execute(text("CREATE TABLE ids (next_id INTEGER)"))
        connection.execute(text("INSERT INTO ids VALUES (12344)"))
        yield connection
    engine.dispose()


@pytest.fixture
def acme(tx: Connection) -> int:
    """Acme, created by another actor."""
    return organizations.create(tx, "Acme", actor="command line", now_ms=NOW_MS).id


def audited(tx: Connection) -> list[str]:
    """What Alice did, by her entries in the audit log."""
    c = audit_entries.c
    return [row.action for row in tx.execute(select(c.action).where(c.actor == ALICE.name).order_by(c.id))]


def recorded(tx: Connection) -> list[tuple[str, object]]:
    """The events, with their details."""
    rows = tx.execute(select(events.c.type, events.c.details).order_by(events.c.position))
    return [(row.type, json.loads(row.details or "{}")) for row in rows]


def test_changes_of_organizations_and_businesses_are_audited(tx: Connection) -> None:
    made = organizations.create(tx, "Acme", **BY_ALICE)
    organizations.change(tx, made.id, {"keep_events_days": 90}, **BY_ALICE)
    boston = organizations.create_business(tx, made.id, {"name": "Acme Boston"}, **AS_ALICE)
    organizations.update_business(tx, made.id, boston.id, {"survey": "nps"}, **AS_ALICE)
    organizations.deactivate_business(tx, made.id, boston.id, **AS_ALICE)
    assert audited(tx) == [
        "organization.create",
        "organization.update",
        "business.create",
        "business.update",
        "business.deactivate",
    ]
    assert recorded(tx) == [
        ("business-created", {}),
        ("business-updated", {"changed": ["survey"]}),
        ("business-updated", {"changed": ["active"]}),
    ]


def test_changes_of_employees_and_templates_are_audited(tx: Connection, acme: int) -> None:
    carol = employees.create(tx, acme, "Carol", "carol@example.com", **BY_ALICE)
    employees.change(tx, acme, carol.id, name="Carol Jones", **BY_ALICE)
    employees.deactivate(tx, acme, carol.id, **BY_ALICE)
    ready = templates.create(tx, acme, "Ready", "Your order is ready.", None, **BY_ALICE)
    templates.remove(tx, acme, ready.id, **BY_ALICE)
    assert audited(tx) == [
        "employee.create",
        "employee.update",
        "employee.deactivate",
        "template.create",
        "template.delete",
    ]


def test_changes_of_tags_saved_replies_and_shared_views_are_audited(tx: Connection, acme: int) -> None:
    repair = tags.create(tx, acme, "Repair", None, **BY_ALICE)
    tags.change(tx, acme, repair.id, {"color": "#8f4f00"}, **BY_ALICE)
    tags.change(tx, acme, repair.id, {"color": "#8f4f00"}, **BY_ALICE)
    assert tags.remove(tx, acme, repair.id, **BY_ALICE)
    ready = saved_replies.create(tx, acme, {"shortcut": "ready", "title": "Ready", "body": "It is."}, **BY_ALICE)
    for _ in range(2):
        saved_replies.change(tx, acme, ready.id, {"title": "It is ready"}, **BY_ALICE)
    saved_replies.remove(tx, acme, ready.id, **BY_ALICE)
    view = saved_views.create(tx, acme, "All", "view=open", shared=True, employee_id=None, **BY_ALICE)
    by_a_program: dict[str, Any] = {"employee_id": None, "manages": True, **BY_ALICE}
    for _ in range(2):
        saved_views.change(tx, acme, view.id, {"name": "Open"}, **by_a_program)
    saved_views.remove(tx, acme, view.id, **by_a_program)
    verbs = ("create", "update", "delete")
    assert audited(tx) == [f"{what}.{verb}" for what in ("tag", "saved-reply", "saved-view") for verb in verbs]


def test_changes_of_credentials_are_audited(tx: Connection, acme: int) -> None:
    hashing = KEYS.derive(api_tokens.KEY_PURPOSE)
    token, _ = api_tokens.create(tx, hashing, acme, "website", (), None, **BY_ALICE)
    _, successor, _ = api_tokens.rotate(tx, hashing, token.id, overlap_ms=0, **BY_ALICE)
    api_tokens.revoke(tx, successor.id, **BY_ALICE)
    key = publishable_keys.create(tx, acme, None, ["https://shop.example"], **BY_ALICE)
    publishable_keys.revoke(tx, acme, key.id, **BY_ALICE)
    first = identity_secrets.show(tx, acme, CIPHER, **BY_ALICE)
    assert identity_secrets.show(tx, acme, CIPHER, **BY_ALICE) == first
    identity_secrets.rotate(tx, acme, CIPHER, **BY_ALICE)
    assert audited(tx) == [
        "token.create",
        "token.rotate",
        "token.create",
        "token.revoke",
        "publishable-key.create",
        "publishable-key.revoke",
        "private-key.create",
        "private-key.show",
        "private-key.rotate",
    ]


def test_changes_of_webhooks_are_audited(tx: Connection, acme: int) -> None:
    hook, _ = endpoints.create(tx, acme, CIPHER, {"url": "https://a.example/", "topics": ["messages"]}, **BY_ALICE)
    endpoints.update_webhook(tx, acme, hook.id, CIPHER, {"url": "https://b.example/"}, **BY_ALICE)
    endpoints.rotate_secret(tx, acme, hook.id, CIPHER, **BY_ALICE)
    position = delivery_log.send_test(tx, acme, hook.id, **AS_ALICE)
    delivery_log.replay(tx, acme, hook.id, position, **BY_ALICE)
    delivery_log.replay_all(tx, acme, hook.id, state="exhausted", since_ms=0, **BY_ALICE)
    delivery_log.replay_all(tx, acme, hook.id, state="exhausted", since_ms=0, after=position, **BY_ALICE)
    endpoints.delete_webhook(tx, acme, hook.id, CIPHER, **BY_ALICE)
    verbs = ["create", "update", "rotate-secret", "test", "replay", "replay", "delete"]
    assert audited(tx) == [f"webhook.{verb}" for verb in verbs]


def test_a_push_url_is_audited_as_its_webhook(tx: Connection, acme: int) -> None:
    for url in ("https://a.example/", "https://b.example/", None):
        push_urls.change(tx, acme, CIPHER, url, **BY_ALICE)
    assert audited(tx) == ["webhook.create", "webhook.update", "webhook.delete"]


def test_changes_of_customers_are_audited(tx: Connection, acme: int) -> None:
    carol, dave = (identities.create_anonymous(tx, acme, now_ms=NOW_MS) for _ in range(2))
    blocking.set_blocked(tx, acme, carol, blocked=True, actor=ALICE)
    blocking.set_blocked(tx, acme, carol, blocked=False, actor=ALICE)
    _, merge_id = merges.merge(tx, acme, carol, dave, actor=ALICE)
    merges.undo(tx, acme, merge_id, actor=ALICE)
    forget(tx, acme, carol, actor=ALICE)
    assert audited(tx) == [
        "customer.block",
        "customer.unblock",
        "customer.merge",
        "customer.merge-undo",
        "customer.erase",
    ]


def test_unchanged_values_are_not_audited(tx: Connection, acme: int) -> None:
    boston = organizations.create_business(tx, acme, {"name": "Acme Boston"}, actor=SYSTEM, now_ms=NOW_MS)
    organizations.deactivate_business(tx, acme, boston.id, actor=SYSTEM, now_ms=NOW_MS)
    carol = employees.create(tx, acme, "Carol", None, actor="command line", now_ms=NOW_MS)
    employees.deactivate(tx, acme, carol.id, actor="command line", now_ms=NOW_MS)
    dave = identities.create_anonymous(tx, acme, now_ms=NOW_MS)
    before = recorded(tx)
    organizations.change(tx, acme, {}, **BY_ALICE)
    organizations.update_business(tx, acme, boston.id, {}, **AS_ALICE)
    organizations.deactivate_business(tx, acme, boston.id, **AS_ALICE)
    employees.change(tx, acme, carol.id, **BY_ALICE)
    employees.deactivate(tx, acme, carol.id, **BY_ALICE)
    blocking.set_blocked(tx, acme, dave, blocked=False, actor=ALICE)
    push_urls.change(tx, acme, CIPHER, None, **BY_ALICE)
    assert (audited(tx), recorded(tx)) == ([], before)
