"""Consumers of the feeds."""

import asyncio
from collections.abc import Callable

import pytest
from sqlalchemy import Connection

from harness.installation import SECRET_KEY, Installation
from harness.shop import Shop
from harness.world import World
from shopbell.db.connect import open_database
from shopbell.inbox import feed_consumer as inbox
from shopbell.notifications import feed_consumer as notifications
from shopbell.settings.settings import Settings
from shopbell.web_push import decisions

Finder = Callable[[Connection, int], list[int] | None]


@pytest.mark.parametrize("find_news", [notifications.find_news, inbox.find_news, decisions.find_news])
def test_each_organization_with_news_gets_its_turn(
    installation: Installation, people: World, find_news: Finder
) -> None:
    acme, globex = int(people.acme), int(people.globex)
    with installation.serving(run_worker=False) as server:
        shop = Shop(server, people)
        shop.send()
        shop.send(token=people.globex_token, businessId=people.london)
    for organization_id in (acme, globex):
        new = "INSERT INTO push_cursors (organization_id, position) VALUES (:id, 0)"
        assert installation.database.change(new, id=organization_id)
    database = open_database(Settings(database_url=installation.database.url, secret_key=SECRET_KEY))
    try:
        assert database.read_now(find_news, acme) == [globex, acme]
        assert database.read_now(find_news, globex) == [acme, globex]
    finally:
        asyncio.run(database.close())
