"""The benchmark's rows about the cost of the inbox's list.

A database is filled with conversations that wait; then the events of all their messages are consumed, as the worker
process does at full load. Each message of a batch is of another conversation, which is the most expensive case.
"""

import time
from collections.abc import Mapping
from statistics import median

from bench.cpu import cpu_us
from bench.fill import Groups
from bench.load import Load
from bench.servers import Postgres, Shop
from shopbell.db.connect import open_database
from shopbell.inbox import feed_consumer
from shopbell.settings.settings import Settings

GROUPS: Groups = ((10_000, 5),)
"""The conversations of the inbox. The list has them in the order of their ids."""
ROUND_MESSAGES = 10_000
WORKER_US = "CPU time of a message in the worker process, µs"
POSTGRESQL_US = "CPU time of a message in PostgreSQL's processes, µs"


def consume(database_url: str, shop: Shop, postgres: Postgres | None) -> tuple[Load, Mapping[str, float]]:
    """Consume the events of all messages of a filled database.

    Returns the events, and the CPU time per message. The first 10,000 events, which create the rows, do not count.

    Args:
        database_url: the database.
        shop: the organization.
        postgres: the server of the database; None for SQLite.
    """
    rounds, events, all_events = [], 0, 0
    database = open_database(Settings(database_url=database_url, secret_key="0" * 64))
    begun_s, begun_us, begun_there_us = time.monotonic(), time.process_time() * 1e6, cpu_us(postgres)
    try:
        while (section := database.read_now(feed_consumer.read_section, shop.organization_id)) is not None:
            if database.write_now(feed_consumer.write_section, section) is None:
                raise RuntimeError("another process consumes the feed")
            events += section.size
            if events >= ROUND_MESSAGES:
                now_us, there_us = time.process_time() * 1e6, cpu_us(postgres)
                rounds.append(((now_us - begun_us) / events, (there_us - begun_there_us) / events))
                all_events += events
                events, begun_us, begun_there_us = 0, now_us, there_us
    finally:
        database.engine.dispose()
    own_us, there_us = (median(values) for values in zip(*rounds[1:], strict=True))
    figures = {WORKER_US: own_us} | ({POSTGRESQL_US: there_us} if postgres else {})
    return Load(all_events, all_events / (time.monotonic() - begun_s)), figures
