"""The contestants of the benchmark: each measurement begins with a fresh server on a fresh copy of the same data."""

import os
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from bench import deliveries, streams
from bench.fill import count_in_postgres, count_in_sqlite, fill_postgres, fill_sqlite
from bench.load import FIRST_CUSTOMER, HERE, Door, Load, pgbench, wrk
from bench.servers import Postgres, Server, Shop, make_shop

WARM_UP_S = 1
KNOWN = 10_000
"""Customers, each with one message, that an "empty" database holds: somebody must be able to return."""
MILLION = 1_000_000
KNOWN_OF_MILLION = 100_000
ORM_TIMEOUT_S = 30


@dataclass(frozen=True)
class Result:
    """One measurement: what the generator saw, the most memory that the server had, and what each open stream took."""

    load: Load
    resident_mb: float | None = None
    stream_kb: float | None = None


@dataclass(frozen=True)
class Data:
    """One database to measure on: ``fresh`` makes it anew and returns its address, ``count`` counts its messages; its
    threads have the ids from ``first_thread`` on."""

    shop: Shop
    known: int
    fresh: Callable[[], str]
    count: Callable[[], int]
    first_thread: int


class Contest:
    """All contestants on one disk.

    Args:
        folder: an empty folder on the disk to be measured.
        duration_s: how long one measurement lasts, warm-up left out.
    """

    def __init__(self, folder: Path, duration_s: int) -> None:
        self._folder = folder
        self._duration_s = duration_s
        (folder / "postgres").mkdir()
        self.postgres = Postgres(folder / "postgres")

    def prepare(self, *, millions: bool) -> None:
        """Make and fill the databases from which all others are copied.

        Args:
            millions: whether those of a million messages are filled, which takes long.
        """
        many, count = (MILLION, KNOWN_OF_MILLION) if millions else (1, 1)
        self.sqlite = self._sqlite("template", KNOWN, KNOWN, copied=True)
        self.sqlite_million = self._sqlite("million", count, many, copied=False)
        self.postgresql = self._postgres("template", KNOWN, KNOWN, copied=True)
        self.postgresql_million = self._postgres("million", count, many, copied=False)
        self.postgres.sql("template", (HERE / "function_ddl.sql").read_text())
        self.postgres.make_database("orm")
        os.sync()

    def _sqlite(self, name: str, customers: int, messages: int, *, copied: bool) -> Data:
        path, run = self._folder / f"{name}.db", self._folder / ("run.db" if copied else f"{name}.db")
        shop = make_shop(f"sqlite:///{path}")
        first_thread = fill_sqlite(path, shop, customers=customers, messages=messages)

        def fresh() -> str:
            if copied:
                for old in self._folder.glob("run.db*"):
                    old.unlink()
                shutil.copy(path, run)
                os.sync()
            return f"sqlite:///{run}"

        return Data(shop, customers, fresh, lambda: count_in_sqlite(run), first_thread)

    def _postgres(self, name: str, customers: int, messages: int, *, copied: bool) -> Data:
        self.postgres.make_database(name)
        shop = make_shop(self.postgres.url(name))
        first_thread = fill_postgres(self.postgres, name, shop, customers=customers, messages=messages)
        run = "run" if copied else name

        def fresh() -> str:
            if copied:
                self.postgres.make_database(run, name)
            else:
                self.postgres.sql(run, "CHECKPOINT")
            return self.postgres.url(run)

        return Data(shop, customers, fresh, lambda: count_in_postgres(self.postgres, run), first_thread)

    def shopbell(self, data: Data, *, connections: int) -> Result:
        """Our own server, durable."""
        url = data.fresh()
        return self._sends(Server.of_shopbell(url), data.shop, data.known, data.count, connections=connections)

    def replies(self, data: Data, *, connections: int) -> Result:
        """Our own server: visible replies in known threads."""
        server = Server.of_shopbell(data.fresh())
        door = Door(server.port, data.shop.token, data.shop.business_id, data.known, data.first_thread)
        return self._through(door, server, data.count, connections=connections, script="reply.lua")

    def promising(self, data: Data, *, webhooks: int, connections: int, delivers: bool = False) -> Result:
        """Our own server while webhooks are told of each message; it only promises that, or ``delivers`` meanwhile."""
        with deliveries.receiver() as receiver:
            server = Server.of_shopbell(data.fresh(), delivers=delivers)
            deliveries.subscribe(server, data.shop, webhooks, receiver.port)
            return self._sends(server, data.shop, data.known, data.count, connections=connections)

    def worker(self, data: Data, *, webhooks: int) -> Result:
        """One worker delivers what a server has promised."""
        url = data.fresh()
        with deliveries.receiver() as receiver:
            server = Server.of_shopbell(url, delivers=False)
            deliveries.subscribe(server, data.shop, webhooks, receiver.port)
            self._sends(server, data.shop, data.known, data.count, connections=64)
            return Result(deliveries.one_worker(url, receiver, duration_s=self._duration_s))

    def bare_loop(self, *, concurrency: int) -> Result:
        """The worker's client in a bare loop, with no database."""
        return Result(deliveries.bare_loop(concurrency=concurrency, duration_s=self._duration_s))

    def paced(self, data: Data) -> Result:
        """Our own server delivers at a steady pace; the times are from an event to its receipt."""
        with deliveries.receiver() as receiver:
            server = Server.of_shopbell(data.fresh())
            try:
                deliveries.subscribe(server, data.shop, 1, receiver.port)
                time.sleep(deliveries.NOTICE_S)
                return Result(deliveries.paced(server, data.shop, receiver, duration_s=self._duration_s))
            finally:
                server.stop()

    def held(self, data: Data, *, count: int) -> Result:
        """Our own server holds open streams in which nothing happens."""
        server, tokens = self._listened(data, count)
        try:
            load, each_bytes = streams.held(server, tokens)
            return Result(load, server.resident_mb(), each_bytes / 1e3)
        finally:
            server.stop()

    def late(self, data: Data, *, count: int) -> Result:
        """Our own server is replied through in threads that are listened to; the times are from answer to arrival."""
        server, tokens = self._listened(data, count)
        try:
            load = streams.late(server, data.shop, tokens, data.first_thread, duration_s=self._duration_s)
            return Result(load, server.resident_mb())
        finally:
            server.stop()

    def _listened(self, data: Data, count: int) -> tuple[Server, list[str]]:
        url = data.fresh()
        tokens = streams.make_sessions(url, data.shop, data.first_thread, data.known, count)
        return Server.of_shopbell(url), tokens

    def without_storage(self, data: Data, *, connections: int) -> Result:
        """The same server, which stores nothing."""
        server = Server.of_shopbell(data.fresh(), without_storage=True)
        return self._sends(server, data.shop, data.known, None, connections=connections)

    def orm(self, data: Data, *, connections: int) -> Result:
        """A session of an ORM per request, on a database of its own."""
        shop, path = data.shop, self._folder / "orm.db"
        on_sqlite = data is self.sqlite
        url = f"sqlite:///{path}" if on_sqlite else self.postgres.url("orm")
        arguments = (url, "{port}", shop.token, str(shop.business_id), str(FIRST_CUSTOMER), str(KNOWN))
        server = Server("bench.orm_per_request", *arguments, environment={}, ready="/readyz")

        def count() -> int:
            return count_in_sqlite(path) if on_sqlite else count_in_postgres(self.postgres, "orm")

        return self._sends(server, shop, KNOWN, count, connections=connections)

    def pgbench(self, script: str, *, connections: int) -> Result:
        """The same work with no server of ours: one transaction per message, straight to PostgreSQL."""
        data = self.postgresql
        data.fresh()
        before = data.count()
        variables = {
            "organization": data.shop.organization_id,
            "business": data.shop.business_id,
            "first": FIRST_CUSTOMER,
            "known": data.known,
        }
        environment = self.postgres.environment("run")
        program = self.postgres.programs / "pgbench"
        load = pgbench(program, script, environment, variables, clients=connections, duration_s=self._duration_s)
        return Result(_proven(load, load.answers, data.count() - before))

    def _sends(
        self, server: Server, shop: Shop, known: int, count: Callable[[], int] | None, *, connections: int
    ) -> Result:
        door = Door(server.port, shop.token, shop.business_id, known)
        return self._through(door, server, count, connections=connections)

    def _through(
        self,
        door: Door,
        server: Server,
        count: Callable[[], int] | None,
        *,
        connections: int,
        script: str = "send.lua",
    ) -> Result:
        send = partial(wrk, door, connections=connections, timeout_s=ORM_TIMEOUT_S, script=script)
        try:
            before = count() if count else 0
            warm_up = send(duration_s=WARM_UP_S)
            load = send(duration_s=self._duration_s)
            resident_mb = server.resident_mb()
        finally:
            server.stop()
        if count:
            load = _proven(load, warm_up.answers + load.answers, count() - before)
        return Result(load, resident_mb)


def _proven(load: Load, answered: int, stored: int) -> Load:
    """The same load, found worthless when fewer messages were stored than answers were given."""
    if stored >= answered:
        return load
    return Load(load.answers, load.per_s, fault=f"{answered:,} answers, but only {stored:,} messages stored")
