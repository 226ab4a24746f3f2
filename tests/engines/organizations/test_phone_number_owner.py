"""A phone number belongs to one organization, also if two set it at the same moment."""

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import pytest
from sqlalchemy import Connection, text

from harness.installation import SECRET_KEY, Installation
from harness.waiting import wait_until
from harness.world import World
from shopbell.db.connect import open_database
from shopbell.db.database import Database
from shopbell.events.actors import SYSTEM
from shopbell.organizations import organizations
from shopbell.organizations.business_fields import WrongValues
from shopbell.organizations.organizations import Business
from shopbell.settings.settings import Settings

NUMBER = "+15552345678"
WAITING = text("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted")


@pytest.fixture
def opened(installation: Installation) -> Iterator[Database]:
    """The database, opened in this process."""
    url = installation.database.url
    database = open_database(Settings(database_url=url, secret_key=SECRET_KEY))  # type: ignore[arg-type]
    yield database
    database.engine.dispose()


def take_number(tx: Connection, organization: str, business: str) -> Business:
    """Make the number that of a business."""
    return organizations.update_business(
        tx, int(organization), int(business), {"phone": NUMBER}, actor=SYSTEM, now_ms=1_796_000_000_000
    )


@pytest.mark.parametrize("engine", ["postgresql"])
def test_two_organizations_that_set_one_number_at_once_do_not_both_get_it(opened: Database, people: World) -> None:
    with ThreadPoolExecutor(1) as pool:

        def take_first(tx: Connection) -> None:
            take_number(tx, people.acme, people.boston)
            second = pool.submit(opened.write_now, take_number, people.globex, people.london)
            wait_until(lambda: second.done() or tx.scalar(WAITING), lambda: "it neither waits nor ends")
            others.append(second)

        others: list[Future[Business]] = []
        opened.write_now(take_first)
        with pytest.raises(WrongValues):
            others[0].result()
    london = opened.read_now(organizations.get_business, int(people.globex), int(people.london))
    assert london.phone_number is None
