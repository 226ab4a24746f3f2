"""Organizations as a growing installation has them: a few large ones, many small ones."""

import json
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass

from pydantic import SecretStr
from sqlalchemy import Connection

from bench.servers import SHOPBELL_SETTINGS, Shop
from shopbell.db.connect import open_database
from shopbell.events.actors import SYSTEM
from shopbell.organizations import api_tokens, employees, organizations
from shopbell.security.keys import load
from shopbell.settings.settings import Settings

BUSINESSES_MAX = 8
EMPLOYEES_PER_BUSINESS = 3
CUSTOMERS_OF_LARGEST = 20_000
_WEEK = json.dumps({"weekly": {day: [["09:00", "17:30"]] for day in ("mon", "tue", "wed", "thu", "fri")}})
_TIME_ZONES = ("Europe/Berlin", "America/New_York", "America/Sao_Paulo", "Asia/Tokyo")
_LOCALES = ("de", "en", "pt-BR", "fr")


@dataclass(frozen=True)
class Organization:
    """An organization, with the number of customers that it will have."""

    id: int
    token: str
    businesses: Sequence[int]
    employees: Sequence[int]
    customers: int

    @property
    def shop(self) -> Shop:
        """Its first business, for senders."""
        return Shop(self.id, self.businesses[0], self.token)


def share(number: int) -> float:
    """The size of an organization, relative to the largest, whose number is 0 (Zipf's law)."""
    return 1 / (number + 1)


def make_organizations(database_url: str, count: int) -> list[Organization]:
    """Create organizations with businesses that have opening hours, employees and API tokens.

    The database must have its tables.
    """
    settings = Settings(database_url=database_url, secret_key=SecretStr(SHOPBELL_SETTINGS["SHOPBELL_SECRET_KEY"]))
    keys = load(settings).derive(api_tokens.KEY_PURPOSE)
    database = open_database(settings)
    try:
        return [database.write_now(_make, keys, number) for number in range(count)]
    finally:
        database.engine.dispose()


def _make(tx: Connection, keys: Sequence[bytes], number: int) -> Organization:
    chance = random.Random(number)
    who, now_ms = "bench", time.time_ns() // 1_000_000
    made = organizations.create(tx, f"Organization {number}", actor=who, now_ms=now_ms)
    businesses = [
        organizations.create_business(
            tx,
            made.id,
            {
                "name": f"Shop {number}-{business}",
                "locale": chance.choice(_LOCALES),
                "time_zone": chance.choice(_TIME_ZONES),
                "opening_hours": _WEEK,
                "auto_replies": True,
            },
            actor=SYSTEM,
            now_ms=now_ms,
        ).id
        for business in range(max(1, round(BUSINESSES_MAX * share(number))))
    ]
    staff = [
        employees.create(tx, made.id, f"Employee {employee}", None, actor=who, now_ms=now_ms).id
        for employee in range(EMPLOYEES_PER_BUSINESS * len(businesses))
    ]
    _, token = api_tokens.create(tx, keys, made.id, "bench", api_tokens.SCOPES, None, actor=who, now_ms=now_ms)
    return Organization(made.id, token, businesses, staff, max(5, round(CUSTOMERS_OF_LARGEST * share(number))))
