"""The inbox, as employees see it and programs use it."""

import json
from typing import Any

import httpx2

from harness.employees import Hired
from harness.shop import Shop
from shopbell.inbox import feed_consumer


def catch_up(shop: Shop, organization_id: str = "") -> int:
    """Consume an organization's feed like the worker; returns the number of sections."""
    sections = 0
    while True:
        with shop.database.writing() as tx:
            section = feed_consumer.read_section(tx, int(organization_id or shop.world.acme))
            if section is None:
                return sections
            sections += feed_consumer.write_section(tx, section) is not None


def listed(shop: Shop, employee: Hired | None = None, **query: str) -> list[dict[str, Any]]:
    """The entries of a list, as an employee or Acme's token reads them."""
    path = "/api/inbox/threads"
    if employee is None:
        answer = shop.server.client.get(path, params=query, headers={"token": shop.world.token})
    else:
        answer = employee.browser.get(f"{path}?{'&'.join(f'{name}={value}' for name, value in query.items())}")
    assert answer.status_code == 200, answer.text
    threads: list[dict[str, Any]] = answer.json()["threads"]
    return threads


def entry(shop: Shop, thread_id: str, employee: Hired | None = None) -> dict[str, Any]:
    """The entry of a conversation, once the feed is consumed."""
    catch_up(shop)
    (found,) = listed(shop, employee, customerThreadId=thread_id)
    return found


def call(shop: Shop, path: str, token: str = "", **body: Any) -> dict[str, Any]:
    """Send a request that must succeed."""
    answer = shop.post(body, path=path, token=token)
    assert answer.status_code == 200, answer.text
    done: dict[str, Any] = answer.json()
    return done


def get(shop: Shop, path: str, token: str = "", **query: Any) -> dict[str, Any]:
    """Read something that must be there."""
    answer = shop.server.client.get(path, params=query, headers={"token": token or shop.world.token})
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def refusal(answer: httpx2.Response) -> tuple[int, str]:
    """Status and text of a refusal."""
    return answer.status_code, answer.json()["detail"]


def employee(shop: Shop, name: str = "Alice", token: str = "") -> str:
    """Create an employee; returns their id."""
    id_: str = call(shop, "/api/employees", token, name=name)["id"]
    return id_


def upload(shop: Shop, name: str = "price list.txt") -> str:
    """Upload a file; returns its id."""
    file = {"file": (name, b"1 bell: 20", "text/plain")}
    answer = shop.server.client.post("/api/attachments", files=file, headers={"token": shop.world.token})
    assert answer.status_code == 200, answer.text
    id_: str = answer.json()["attachmentId"]
    return id_


def events_of(shop: Shop, thread_id: str, *types: str) -> list[dict[str, Any]]:
    """The details of a conversation's events of these types, in order."""
    rows = shop.database.rows(
        "SELECT type, details FROM events WHERE thread_id = :id ORDER BY position", id=int(thread_id)
    )
    return [json.loads(row["details"]) for row in rows if row["type"] in types]


def actors_of(shop: Shop, thread_id: str, *types: str) -> list[tuple[str | None, int | None]]:
    """The actors of a conversation's events of these types, in order, as stored."""
    rows = shop.database.rows(
        "SELECT type, actor_type, actor_id FROM events WHERE thread_id = :id ORDER BY position", id=int(thread_id)
    )
    return [(row["actor_type"], row["actor_id"]) for row in rows if row["type"] in types]


def audited(shop: Shop, subject: str) -> list[str]:
    """The audit log of a subject."""
    query = "SELECT action FROM audit_entries WHERE subject = :subject ORDER BY id"
    return [row["action"] for row in shop.database.rows(query, subject=subject)]
