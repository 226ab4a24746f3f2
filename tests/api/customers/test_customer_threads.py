"""``GET /api/customer/threads``: the conversations of an app's customer."""

from collections.abc import Callable
from typing import Any

import pytest

from harness.shop import Shop, faults_of
from harness.visitors import Browser, Site, acmes_site, globexs_site


@pytest.fixture
def site(engine: str, shops: Callable[..., Shop]) -> Site:
    """Acme's website, on a server that delivers nothing."""
    return acmes_site(shops(engine, run_worker="false"))


def _listed(browser: Browser, **query: Any) -> list[dict[str, Any]]:
    answer = browser.get("threads", **query)
    assert answer.status_code == 200, answer.text
    assert answer.json()["nextCursor"] is None
    threads: list[dict[str, Any]] = answer.json()["threads"]
    return threads


def _ids(browser: Browser) -> list[str]:
    return [thread["customerThreadId"] for thread in _listed(browser)]


def _name_of(site: Site, business_id: str) -> str:
    return str(site.shop.database.value("SELECT name FROM businesses WHERE id = :id", id=int(business_id)))


def _answer(site: Site, thread_id: str, **fields: Any) -> None:
    body = {"customerThreadId": thread_id, "text": "We look into it.", **fields}
    assert site.shop.post(body, path="/api/send-message-to-customer-thread").status_code == 200


def test_an_app_lists_its_customers_conversations_with_unread_counts(site: Site) -> None:
    shop, user = site.shop, {"email": site.shop.somebody()}
    boston = shop.send(user=user)
    paris = shop.send(user=user, businessId=shop.world.paris)
    app = site.app(user["email"])
    for _ in range(2):
        _answer(site, boston)
    _answer(site, boston, text="He is annoyed.", internal=True)
    assert shop.post({"customerThreadId": paris, "status": "resolved"}, path="/api/update-thread-status").is_success
    asked, answered, _ = shop.messages(paris)[0], shop.messages(boston)[2], shop.messages(boston)[3]
    assert _listed(app) == [
        {
            "customerThreadId": paris,
            "businessId": shop.world.paris,
            "businessName": _name_of(site, shop.world.paris),
            "status": "resolved",
            "lastSequence": 1,
            "lastMessageAt": asked["created_at_ms"],
            "unreadCount": 0,
        },
        {
            "customerThreadId": boston,
            "businessId": shop.world.boston,
            "businessName": _name_of(site, shop.world.boston),
            "status": "replied",
            "lastSequence": 3,
            "lastMessageAt": answered["created_at_ms"],
            "unreadCount": 2,
        },
    ]
    for place, unread in ((2, 1), (4, 0)):
        assert app.post("read", sequence=place, customerThreadId=boston).status_code == 200
        assert _listed(app)[1]["unreadCount"] == unread


def test_internal_messages_are_neither_unread_nor_the_last_message(site: Site) -> None:
    user = {"email": site.shop.somebody()}
    thread_id = site.shop.send(user=user)
    at = {"at": 1, "id": int(thread_id)}
    site.shop.database.change("UPDATE messages SET created_at_ms = :at WHERE thread_id = :id", **at)
    _answer(site, thread_id, internal=True)
    app = site.app(user["email"])
    (shown,) = _listed(app)
    assert (shown["lastSequence"], shown["lastMessageAt"], shown["unreadCount"]) == (1, 1, 0)
    site.shop.database.change("DELETE FROM messages WHERE thread_id = :id", id=int(thread_id))  # as retention does
    (shown,) = _listed(app)
    assert (shown["lastSequence"], shown["lastMessageAt"], shown["unreadCount"]) == (0, None, 0)


def test_unread_messages_are_counted_among_the_last_thousand(site: Site) -> None:
    user = {"email": site.shop.somebody()}
    thread_id = site.shop.send(user=user)
    for _ in range(3):
        _answer(site, thread_id)
    app = site.app(user["email"])
    for last_sequence, unread in ((4, 3), (1_002, 2), (1_005, 0)):
        move = "UPDATE threads SET last_sequence = :last WHERE id = :id"
        site.shop.database.change(move, last=last_sequence, id=int(thread_id))
        assert _listed(app)[0]["unreadCount"] == unread


def test_the_list_is_paginated(site: Site) -> None:
    shop, user = site.shop, {"email": site.shop.somebody()}
    ids = [shop.send(user=user, businessId=id_) for id_ in (shop.world.boston, shop.world.paris, shop.world.nowhere)]
    app = site.app(user["email"])
    found, cursor = [], {}
    for _ in ids:
        page = app.get("threads", limit=1, **cursor).json()
        found += [thread["customerThreadId"] for thread in page["threads"]]
        cursor = {"cursor": page["nextCursor"]}
    assert found == ids[::-1]
    assert cursor == {"cursor": None}
    assert faults_of(app.get("threads", cursor="nonsense")) == {("query", "cursor", "invalid_format")}
    assert faults_of(app.get("threads", limit=0)) == {("query", "limit", "invalid_value")}


def test_a_browser_lists_its_own_conversation_once_one_exists(site: Site) -> None:
    visitor = site.visitor()
    assert _ids(visitor) == []
    thread_id = visitor.say()["customerThreadId"]
    assert _ids(visitor) == [thread_id]
    # A visitor that the site identifies has more conversations, but their widget shows one business.
    user = {"email": site.shop.somebody()}
    boston = site.shop.send(user=user)
    site.shop.send(user=user, businessId=site.shop.world.paris)
    known = site.visitor(identityToken=site.identity_token(sub=user["email"], email=user["email"]))
    assert _ids(known) == [boston]
    kind = "UPDATE customer_sessions SET kind = 'page' WHERE thread_id = :id"
    site.shop.database.change(kind, id=int(thread_id))
    assert _ids(visitor) == [thread_id]


def test_other_customers_conversations_are_not_listed(site: Site) -> None:
    shop, email = site.shop, site.shop.somebody()
    carols = shop.send(user={"email": email})
    daves = shop.send()
    elsewhere = shop.send(user={"email": email}, token=shop.world.globex_token, businessId=shop.world.london)
    assert _ids(site.app(email)) == [carols]
    assert _ids(site.app(str(shop.customer_of(daves)))) == [daves]
    assert _ids(globexs_site(shop).app(email)) == [elsewhere]


def test_a_merged_customer_lists_the_conversations_of_both(site: Site) -> None:
    shop = site.shop
    kept, merged = shop.send(), shop.send()
    app = site.app(str(shop.customer_of(kept)))
    body = {"otherCustomerId": str(shop.customer_of(merged))}
    assert shop.post(body, path=f"/api/customers/{shop.customer_of(kept)}/merge").status_code == 200
    assert _ids(app) == [merged, kept]


def test_conversations_started_while_blocked_are_not_listed(site: Site) -> None:
    visitor = site.visitor()
    thread_id = visitor.say()["customerThreadId"]
    customer_id = site.shop.customer_of(thread_id)
    assert site.shop.post({}, path=f"/api/customers/{customer_id}/block").status_code == 200
    app = site.app(str(customer_id))
    assert (
        app.post(
            "messages",
            text="x",
            clientMessageId="5f0c3b0e-9a2e-4f5e-8d0a-6a4f2f1f7c11",
            businessId=site.shop.world.paris,
        ).status_code
        == 200
    )
    assert _ids(app) == [thread_id]
