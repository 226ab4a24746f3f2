"""The contestants of the benchmark: each measurement begins with a fresh server on a fresh copy of the same data."""

import os
import shutil
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from bench import cold_reads, deliveries, inbox, inbox_page, streams
from bench.fill import Groups, count_in_postgres, count_in_sqlite, fill_by_sending, fill_postgres, fill_sqlite
from bench.load import FIRST_CUSTOMER, HERE, Door, Load, pgbench, wrk
from bench.servers import SOURCE, Postgres, Server, Shop, make_shop

WARM_UP_S = 1
KNOWN = 10_000
"""The customers, with one message each, in an "empty" database: returning customers must exist."""
FULL: Groups = ((100_000, cold_reads.LAST), (1_000_000, 5))
"""The customers of a database with ten million messages: some write often, most do not."""
ORM_TIMEOUT_S = 30
PACED_CONNECTIONS = 256
"""Enough that the latency is only a part of each connection's pause."""


@dataclass(frozen=True)
class Result:
    """The result of one measurement.

    Args:
        load: the results of the load generator.
        resident_mb: the highest memory use of the server process, in MB (10^6 bytes).
        stream_kb: the memory of each open stream, in kB.
        cpu_us: the CPU time of the server process for each response, in µs.
        delivered: the share of the events that were delivered during the measurement.
        figures: other results, by their names, which end with the unit.
    """

    load: Load
    resident_mb: float | None = None
    stream_kb: float | None = None
    cpu_us: float | None = None
    delivered: float | None = None
    figures: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Data:
    """A database to measure: ``fresh`` recreates it and returns its address, ``count`` counts its messages.

    The ids of its threads begin with ``first_thread``. ``source`` is the version of the server that uses it.
    """

    shop: Shop
    known: int
    fresh: Callable[[], str]
    count: Callable[[], int]
    first_thread: int
    source: Path = SOURCE


class Contest:
    """All contestants on one disk.

    Args:
        folder: an empty folder on the disk that is measured.
        duration_s: how long one measurement lasts, without the warm-up.
    """

    def __init__(self, folder: Path, duration_s: int) -> None:
        self._folder = folder
        self._duration_s = duration_s
        (folder / "postgres").mkdir()
        self.postgres = Postgres(folder / "postgres")

    def prepare(self, *, before: Path, full: Collection[str]) -> None:
        """Make and fill the databases from which all others are copied.

        Args:
            before: the source of the earlier version.
            full: the engines, ``sqlite`` and ``postgresql``, that are also measured with ten million messages. To
                write these takes a minute or two for each.
        """
        empty, one = ((KNOWN, 1),), ((1, 1),)
        self.sqlite = self._sqlite("template", empty, copied=True)
        self.sqlite_full = self._sqlite("ten_million", FULL if "sqlite" in full else one, copied=False)
        self.postgresql = self._postgres("template", empty, copied=True)
        self.postgresql_full = self._postgres("ten_million", FULL if "postgresql" in full else one, copied=False)
        self.sqlite_inbox = self._sqlite("inbox", inbox.GROUPS, copied=True)
        self.postgresql_inbox = self._postgres("inbox", inbox.GROUPS, copied=True)
        self.postgres.sql("template", (HERE / "function_ddl.sql").read_text())
        self.postgres.make_database("orm")
        self.sqlite_before = self._sqlite("before", empty, copied=True, source=before)
        self.postgresql_before = self._postgres("before", empty, copied=True, source=before)
        os.sync()

    def _sqlite(self, name: str, groups: Groups, *, copied: bool, source: Path = SOURCE) -> Data:
        path, run = self._folder / f"{name}.db", self._folder / ("run.db" if copied else f"{name}.db")
        shop = make_shop(f"sqlite:///{path}", source)
        first_thread = 0
        if source == SOURCE:
            first_thread = fill_sqlite(path, shop, groups)
        else:  # its tables are different
            fill_by_sending(f"sqlite:///{path}", source, shop, groups)

        def fresh() -> str:
            if copied:
                for old in self._folder.glob("run.db*"):
                    old.unlink()
                shutil.copy(path, run)
                os.sync()
            return f"sqlite:///{run}"

        return Data(shop, _customers(groups), fresh, lambda: count_in_sqlite(run), first_thread, source)

    def _postgres(self, name: str, groups: Groups, *, copied: bool, source: Path = SOURCE) -> Data:
        self.postgres.make_database(name)
        shop = make_shop(self.postgres.url(name), source)
        first_thread = 0
        if source == SOURCE:
            first_thread = fill_postgres(self.postgres, name, shop, groups)
        else:
            fill_by_sending(self.postgres.url(name), source, shop, groups)
        run = "run" if copied else name

        def fresh() -> str:
            if copied:
                self.postgres.make_database(run, name)
            else:
                self.postgres.sql(run, "CHECKPOINT")
            return self.postgres.url(run)

        return Data(
            shop, _customers(groups), fresh, lambda: count_in_postgres(self.postgres, run), first_thread, source
        )

    def shopbell(self, data: Data, *, connections: int) -> Result:
        """Our own server, durable."""
        url = data.fresh()
        return self._sends(
            Server.of_shopbell(url, source=data.source), data.shop, data.known, data.count, connections=connections
        )

    def cold_reads(self) -> Result:
        """Read the last messages of conversations from the full SQLite file.

        Without our server, and while the file is in no cache.
        """
        first, (often, _) = self.sqlite_full.first_thread, FULL[0]
        path = self._folder / "ten_million.db"
        return Result(cold_reads.measure(path, self.sqlite_full.shop.organization_id, range(first, first + often)))

    def replies(self, data: Data, *, connections: int) -> Result:
        """Our own server takes visible replies in known threads."""
        server = Server.of_shopbell(data.fresh())
        door = Door(server.port, data.shop.token, data.shop.business_id, data.known, data.first_thread)
        return self._through(door, server, data.count, connections=connections, script="reply.lua")

    def promising(self, data: Data, *, webhooks: int, connections: int, delivers: bool = False) -> Result:
        """Our own server with a webhook for each message; it only queues them, or also ``delivers``."""
        with deliveries.receiver() as receiver:
            server = Server.of_shopbell(data.fresh(), source=data.source, delivers=delivers)
            deliveries.subscribe(server, data.shop, webhooks, receiver.port)
            return self._sends(server, data.shop, data.known, data.count, connections=connections)

    def worker(self, data: Data, *, webhooks: int) -> Result:
        """One worker delivers what a server has queued."""
        url = data.fresh()
        with deliveries.receiver() as receiver:
            server = Server.of_shopbell(url, source=data.source, delivers=False)
            deliveries.subscribe(server, data.shop, webhooks, receiver.port)
            self._sends(server, data.shop, data.known, data.count, connections=64)
            return Result(deliveries.one_worker(url, data.source, receiver, duration_s=self._duration_s))

    def bare_loop(self, *, concurrency: int) -> Result:
        """The worker's HTTP client in a bare loop, without a database."""
        return Result(deliveries.bare_loop(concurrency=concurrency, duration_s=self._duration_s))

    def paced(self, data: Data) -> Result:
        """Our own server delivers at a steady pace; the times are from an event to its receipt."""
        with deliveries.receiver() as receiver:
            server = Server.of_shopbell(data.fresh(), source=data.source)
            try:
                deliveries.subscribe(server, data.shop, 1, receiver.port)
                time.sleep(deliveries.NOTICE_S)
                return Result(deliveries.paced(server, data.shop, receiver, duration_s=self._duration_s))
            finally:
                server.stop()

    def at_half_rate(self, data: Data) -> Result:
        """Our own server takes half the messages that it can take alone, and delivers them to one webhook.

        A share of delivered events under 1 means that the backlog grows.
        """
        with deliveries.receiver() as receiver:
            server = Server.of_shopbell(data.fresh(), source=data.source)
            door = Door(server.port, data.shop.token, data.shop.business_id, data.known)
            send = partial(wrk, door, connections=PACED_CONNECTIONS)
            try:
                send(duration_s=WARM_UP_S)
                alone = send(duration_s=self._duration_s)
                deliveries.subscribe(server, data.shop, 1, receiver.port)
                time.sleep(deliveries.NOTICE_S)
                turn_ms = 2_000 * PACED_CONNECTIONS / alone.per_s
                warm_up = send(duration_s=2 * WARM_UP_S, pause_ms=round(turn_ms / 2))
                deliveries.seen(receiver)
                pause_ms = max(1, round(turn_ms - (warm_up.p50_ms or 0.0)))
                load = send(duration_s=2 * self._duration_s, pause_ms=pause_ms)
                return Result(load, delivered=deliveries.seen(receiver)["count"] / load.answers)
            finally:
                server.stop()

    def held(self, data: Data, *, count: int) -> Result:
        """Our own server holds idle streams open."""
        server, tokens = self._listened(data, count)
        try:
            load, each_bytes = streams.held(server, tokens)
            return Result(load, server.resident_mb(), each_bytes / 1e3)
        finally:
            server.stop()

    def late(self, data: Data, *, count: int) -> Result:
        """Our own server takes replies in threads with open streams.

        Times are from the response to the arrival in the stream.
        """
        server, tokens = self._listened(data, count)
        try:
            load = streams.late(server, data.shop, tokens, data.first_thread, data.known, duration_s=self._duration_s)
            return Result(load, server.resident_mb())
        finally:
            server.stop()

    def _listened(self, data: Data, count: int) -> tuple[Server, list[str]]:
        url = data.fresh()
        tokens = streams.make_sessions(url, data.shop, data.first_thread, data.known, count)
        return Server.of_shopbell(url), tokens

    def inbox_list(self, data: Data) -> Result:
        """The inbox's list consumes the events of all messages."""
        postgres = None if data is self.sqlite_inbox else self.postgres
        load, figures = inbox.consume(data.fresh(), data.shop, postgres)
        return Result(load, figures=figures)

    def inbox_page(self, data: Data, measure: inbox_page.Measure) -> Result:
        """An employee works in the inbox of our own server, in Chromium."""
        url = data.fresh()
        inbox.consume(url, data.shop, None)
        link = inbox_page.invite(url, data.shop)
        server = Server.of_shopbell(url)
        try:
            load, figures = measure(server, link, data.shop, data.first_thread)
            return Result(load, server.resident_mb(), figures=figures)
        finally:
            server.stop()

    def without_storage(self, data: Data, *, connections: int) -> Result:
        """The same server without storage."""
        server = Server.of_shopbell(data.fresh(), without_storage=True)
        return self._sends(server, data.shop, data.known, None, connections=connections)

    def orm(self, data: Data, *, connections: int) -> Result:
        """An ORM session per request, on a separate database."""
        shop, path = data.shop, self._folder / "orm.db"
        on_sqlite = data is self.sqlite
        url = f"sqlite:///{path}" if on_sqlite else self.postgres.url("orm")
        arguments = (url, "{port}", shop.token, str(shop.business_id), str(FIRST_CUSTOMER), str(KNOWN))
        server = Server("bench.orm_per_request", *arguments, environment={}, ready="/readyz")

        def count() -> int:
            return count_in_sqlite(path) if on_sqlite else count_in_postgres(self.postgres, "orm")

        return self._sends(server, shop, KNOWN, count, connections=connections)

    def pgbench(self, script: str, *, connections: int) -> Result:
        """The same work without our server.

        pgbench sends PostgreSQL one transaction per message.
        """
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
            begun_s = server.cpu_s()
            load = send(duration_s=self._duration_s)
            cpu_us = (server.cpu_s() - begun_s) / max(load.answers, 1) * 1e6
            resident_mb = server.resident_mb()
        finally:
            server.stop()
        if count:
            load = _proven(load, warm_up.answers + load.answers, count() - before)
        return Result(load, resident_mb, cpu_us=cpu_us)


def _customers(groups: Groups) -> int:
    return sum(customers for customers, _ in groups)


def _proven(load: Load, answered: int, stored: int) -> Load:
    """Return the load; it is invalid if fewer messages are stored than were confirmed."""
    if stored >= answered:
        return load
    return Load(load.answers, load.per_s, fault=f"{answered:,} answers, but only {stored:,} messages stored")
