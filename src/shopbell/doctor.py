"""The doctor: looks for what is wrong with an installation and says how to mend it; changes nothing."""

import asyncio
import platform
import shutil
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum
from http.cookies import SimpleCookie
from pathlib import Path

from sqlalchemy import Connection, func, select, text

from shopbell import __version__, demo, installation, keys, pg_tools
from shopbell.blobs.open import open_store
from shopbell.errors import CommandError, SettingsError, StorageError
from shopbell.installation import Held
from shopbell.settings import Settings, unknown_variables
from shopbell.storage import sqlite
from shopbell.storage.migrate import State, revision_of, state
from shopbell.storage.open import connect_database
from shopbell.storage.pooler import PoolerError, check_session, leads_through_pooler
from shopbell.storage.postgres import PostgresDatabase
from shopbell.storage.schema import audit_entries, businesses
from shopbell.storage.sqlite_files import files_of, missing_reason

_MIB = 1024 * 1024
DISK_ERROR_BYTES = 100 * _MIB
DISK_WARNING_BYTES = 1024 * _MIB
CLOCK_TOLERANCE_MS = 5_000
PLAUSIBLE_YEARS = range(2026, 2100)
SQLITE_SAFE = (3, 51, 3)
POSTGRESQL_OLDEST = 14
_SYNCHRONOUS_FULL = 2
_STORES_NAMED = 10
_CREATE_NOTHING = "until it is back, let no program create an empty database at that path"
_COOKIE_SIZES = (1_024, 8_192)
_QUADRATIC_GROWTH = 24
"""Between 8, which is linear growth from the shorter to the longer cookie, and 64, which is quadratic."""
_NOT_OURS = "something changed what Shopbell sets on each connection; is this its own code?"


class Level(Enum):
    """How bad a finding is."""

    OK = "ok"
    WARNING = "warning"
    ERROR = "error"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at: what it is, what was found, and what to do when that is not right."""

    level: Level
    name: str
    detail: str
    remedy: str = ""

    def as_json(self) -> dict[str, str]:
        """As programs get it."""
        return {"level": self.level.value, "name": self.name, "detail": self.detail, "remedy": self.remedy}


def examine(settings: Settings, *, now_ms: int) -> list[Finding]:
    """Look at everything that this installation stands on.

    Args:
        settings: the installation's.
        now_ms: this machine's time in Unix ms.

    Returns:
        What was found, in a fixed order, good things too.
    """
    findings = [_ok("versions", f"Shopbell {__version__}, Python {platform.python_version()}, {platform.platform()}")]
    findings.append(cookie_parser())
    findings += _clock(now_ms)
    findings += _variables()
    if settings.nats_url is not None:
        findings.append(_nats(settings.nats_url.get_secret_value()))
    findings += [_attachments(settings), _mail(settings), _texts(settings)]
    if settings.is_sqlite:
        findings += [_sqlite_library(), _disk(settings.sqlite_path), *_file_modes(settings)]
        if not settings.sqlite_path.exists():
            if (reason := missing_reason(settings.sqlite_path)) is not None:
                return [*findings, Finding(Level.ERROR, "database", reason, _CREATE_NOTHING)]
            remedy = "`shopbell serve` or `shopbell migrate` makes it"
            return [*findings, Finding(Level.WARNING, "database", "there is none yet", remedy)]
    database = connect_database(settings)
    try:
        if isinstance(database, PostgresDatabase):
            findings.append(_pooler(database))
        findings += database.read_now(_database, settings, now_ms)
    except (CommandError, PoolerError) as error:
        detail, _, remedy = str(error).partition("; ")
        findings.append(Finding(Level.ERROR, "connection pooler", detail, remedy))
    except StorageError as error:
        remedy = "is it running, and is SHOPBELL_DATABASE_URL right?"
        findings.append(Finding(Level.ERROR, "database", str(error), remedy))
    finally:
        database.engine.dispose()
    return findings


def _ok(name: str, detail: str) -> Finding:
    return Finding(Level.OK, name, detail)


def cookie_parser(parse: Callable[[str], object] = SimpleCookie) -> Finding:
    """Find out whether Python's cookie parser takes quadratic time (CVE-2024-7592).

    It is measured, because distributions repair old versions without changing their number.

    Args:
        parse: the parser.
    """
    short_s, long_s = (min(_cpu_s_of(parse, size) for _ in range(3)) for size in _COOKIE_SIZES)
    version = platform.python_version()
    if long_s < _QUADRATIC_GROWTH * short_s:
        return _ok("cookie parser", f"the one of Python {version} takes linear time")
    detail = f"the one of Python {version} takes quadratic time (CVE-2024-7592)"
    remedy = "update Python to 3.11.10, 3.12.6 or later; Shopbell itself does not use this parser"
    return Finding(Level.WARNING, "cookie parser", detail, remedy)


def _cpu_s_of(parse: Callable[[str], object], size: int) -> float:
    cookie = 'a="' + "\\" * size + '"'
    began_s = time.thread_time()
    parse(cookie)
    return time.thread_time() - began_s


def _clock(now_ms: int) -> Iterator[Finding]:
    now = datetime.fromtimestamp(now_ms / 1000, UTC)
    shown = f"{now:%Y-%m-%dT%H:%M:%SZ}"
    if now.year in PLAUSIBLE_YEARS:
        yield _ok("clock", shown)
    else:
        yield Finding(Level.ERROR, "clock", f"{shown} cannot be right", "set the machine's clock; let NTP keep it")


def _variables() -> Iterator[Finding]:
    unknown = unknown_variables()
    for line in unknown:
        detail, _, meant = line.partition("; ")
        yield Finding(Level.WARNING, "settings", detail, meant or "docs/settings.md lists all settings")
    if not unknown:
        yield _ok("settings", "every variable that begins with SHOPBELL_ is a setting")


def _attachments(settings: Settings) -> Finding:
    remedy = (
        "set SHOPBELL_ATTACHMENTS_URL to s3://bucket/prefix, or to file:///folder on a disk that all processes share"
    )
    try:
        store = open_store(settings)
        if store is None:
            return Finding(Level.WARNING, "attachments", "there is no place for them: uploads are refused", remedy)
        with closing(store):
            return _ok("attachments", asyncio.run(store.check()))
    except SettingsError as error:
        return Finding(Level.ERROR, "attachments", "`shopbell serve` would not start", str(error))
    except StorageError as error:
        remedy = "may this user write there, and are the settings of the service (SHOPBELL_ATTACHMENTS_…) right?"
        return Finding(Level.ERROR, "attachments", str(error), remedy)


def _mail(settings: Settings) -> Finding:
    if settings.smtp_url is None:
        detail = "no mail server is set: every mail to customers and stores fails with the reason no_mail_server"
        remedy = "set SHOPBELL_SMTP_URL and SHOPBELL_MAIL_FROM, then run `shopbell mail test you@example.com`"
        return Finding(Level.ERROR, "mail", detail, remedy)
    return _ok("mail", f"from {settings.mail_sender}; `shopbell mail test you@example.com` sends one")


def _texts(settings: Settings) -> Finding:
    if settings.wants_no_texts:
        return _ok("SMS", "off, as SHOPBELL_SMS_PROVIDER says: every text fails with the reason no_sms_provider")
    if settings.sms_provider == "none":
        detail = "no provider is set: every text to customers fails with the reason no_sms_provider"
        return Finding(Level.ERROR, "SMS", detail, "set SHOPBELL_SMS_PROVIDER; `none` says that you want no texts")
    if settings.sms_provider == "folder":
        detail = "texts are written into a folder, and not sent"
        return Finding(Level.ERROR, "SMS", detail, "set SHOPBELL_SMS_PROVIDER to twilio, http or none")
    return _ok("SMS", f"by {settings.sms_provider}")


def _nats(url: str) -> Finding:
    from shopbell.wakes import nats  # takes a tenth of a second, and few use it

    try:
        address = nats.address_of(url)
        took_ms = asyncio.run(nats.round_trip_ms(address))
    except SettingsError as error:
        return Finding(Level.ERROR, "NATS", "`shopbell serve` would not start", str(error))
    except Exception as error:  # noqa: BLE001 - whatever it is, it is what is wrong
        # Its text stays here: it may quote what the server was told.
        detail = f"no wake-ups through {address} ({type(error).__name__}): news between processes waits for polling"
        remedy = "is it running, and is SHOPBELL_NATS_URL right, the user and the password, too?"
        return Finding(Level.WARNING, "NATS", detail, remedy)
    return _ok("NATS", f"{address} answers within {took_ms:.1f} ms")


def _sqlite_library() -> Finding:
    brought = sqlite.driver.__name__.partition(".")[0]
    detail = f"SQLite {sqlite.driver.sqlite_version}, by {brought}"
    if sqlite.driver.sqlite_version_info >= SQLITE_SAFE:
        return _ok("SQLite", detail)
    safe = ".".join(map(str, SQLITE_SAFE))
    remedy = f"install the package pysqlite3, or a Python with SQLite {safe} or later, or use PostgreSQL"
    return Finding(Level.WARNING, "SQLite", f"{detail}: before {safe} its log's reset could corrupt the file", remedy)


def _disk(database: Path) -> Finding:
    folder = next(parent for parent in database.parents if parent.exists())
    free_bytes = shutil.disk_usage(folder).free
    detail = f"{free_bytes // _MIB} MiB free in {folder}"
    if free_bytes >= DISK_WARNING_BYTES:
        return _ok("disk", detail)
    level = Level.WARNING if free_bytes >= DISK_ERROR_BYTES else Level.ERROR
    return Finding(level, "disk", detail, "make room: when the disk is full, messages are refused with 503")


def _file_modes(settings: Settings) -> Iterator[Finding]:
    open_files = [
        each
        for each in (*files_of(settings.sqlite_path), keys.key_file(settings), demo.file(settings))
        if each.exists() and each.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO)
    ]
    for each in open_files:
        detail = f"{each} is open to other users of this machine"
        yield Finding(Level.WARNING, "file modes", detail, f"chmod 600 {each}")
    if not open_files:
        yield _ok("file modes", "what is kept is its owner's alone")


def _pg_tools(server_version: int) -> Finding:
    try:
        version = pg_tools.version_of("pg_dump")
    except CommandError as error:
        return Finding(Level.WARNING, "pg_dump", "not found: `shopbell backup` cannot work", str(error))
    if version >= server_version:
        return _ok("pg_dump", f"version {version}")
    remedy = f"install PostgreSQL's client programs of version {server_version} or later, and put them first in PATH"
    return Finding(Level.WARNING, "pg_dump", f"version {version} cannot back up a server of {server_version}", remedy)


def _pooler(database: PostgresDatabase) -> Finding:
    check_session(database)
    is_there = database.read_now(leads_through_pooler)
    if is_there:
        detail = "SHOPBELL_DATABASE_URL leads through one, SHOPBELL_DATABASE_DIRECT_URL past it to the same database"
    else:
        detail = "there is none" + (", although SHOPBELL_DATABASE_DIRECT_URL is set" if database.is_pooled else "")
    return _ok("connection pooler", detail)


def _database(tx: Connection, settings: Settings, now_ms: int) -> list[Finding]:
    engine = tx.dialect.name
    findings = list(_DURABILITY[engine](tx))
    found = state(tx)
    if found is not State.CURRENT:
        remedy = {
            State.EMPTY: "`shopbell serve` or `shopbell migrate` makes the tables",
            State.OLDER: "make a backup, then run `shopbell migrate`",
            State.NEWER: "install the version of Shopbell that it was used with, or a later one",
            State.FOREIGN: "give Shopbell a database of its own by SHOPBELL_DATABASE_URL",
        }[found]
        level = Level.WARNING if found is State.EMPTY else Level.ERROR
        return [*findings, Finding(level, "migrations", f"the database is {found.value}", remedy)]
    findings.append(_ok("migrations", f"at revision {revision_of(tx)}, which this version needs"))
    findings += [_secret_key(tx, settings), *_held_back(tx), *_stored_times(tx, now_ms), *_stores(tx)]
    return findings


def _sqlite_durability(tx: Connection) -> Iterator[Finding]:
    mode = tx.execute(text("PRAGMA journal_mode")).scalar()
    if mode == "wal":
        yield _ok("journal mode", "wal")
    else:
        remedy = "keep the database on a local disk: network file systems cannot do it"
        yield Finding(Level.ERROR, "journal mode", f"{mode} instead of wal", remedy)
    synchronous = tx.execute(text("PRAGMA synchronous")).scalar_one()
    full = synchronous >= _SYNCHRONOUS_FULL
    detail = "synchronous = FULL: each commit is on the disk before it is answered"
    yield (
        _ok("durability", detail)
        if full
        else Finding(Level.ERROR, "durability", f"synchronous = {synchronous}", _NOT_OURS)
    )


def _postgresql_durability(tx: Connection) -> Iterator[Finding]:
    version, number = tx.execute(text("SHOW server_version")).scalar(), _server_major(tx)
    if number >= POSTGRESQL_OLDEST:
        yield _ok("PostgreSQL", f"server {version}")
    else:
        yield Finding(
            Level.WARNING, "PostgreSQL", f"server {version} is not tested", f"use {POSTGRESQL_OLDEST} or later"
        )
    yield _pg_tools(number)
    wrong = {
        "fsync": "commits are lost with the power, and the data may be corrupt after",
        "full_page_writes": "a torn page after a power cut corrupts the data",
        "synchronous_commit": "commits are answered before they are on the disk",
    }
    for setting, what in wrong.items():
        value = tx.execute(text(f"SHOW {setting}")).scalar()
        if value == "off":
            yield Finding(
                Level.ERROR, "durability", f"{setting} = off: {what}", f"set {setting} = on in postgresql.conf"
            )
        else:
            yield _ok("durability", f"{setting} = {value}")
    behind_ms = tx.execute(text("SELECT extract(epoch FROM clock_timestamp()) * 1000")).scalar_one()
    yield from _clock_difference(int(behind_ms), int(datetime.now(UTC).timestamp() * 1000))


def _server_major(tx: Connection) -> int:
    return int(tx.execute(text("SHOW server_version_num")).scalar_one()) // 10_000


def _clock_difference(theirs_ms: int, ours_ms: int) -> Iterator[Finding]:
    difference_ms = theirs_ms - ours_ms
    if abs(difference_ms) <= CLOCK_TOLERANCE_MS:
        yield _ok("database's clock", f"{difference_ms} ms from this machine's")
    else:
        detail = f"{difference_ms / 1000:.0f} s from this machine's"
        yield Finding(Level.WARNING, "database's clock", detail, "let NTP keep the clocks of both machines")


_DURABILITY: dict[str, Callable[[Connection], Iterator[Finding]]] = {
    "sqlite": _sqlite_durability,
    "postgresql": _postgresql_durability,
}


def _held_back(tx: Connection) -> Iterator[Finding]:
    why = installation.held_back(tx)
    if why is Held.RESTORED:
        detail = "a backup was restored: nothing is delivered until you have looked"
        yield Finding(Level.WARNING, "webhooks", detail, "run `shopbell webhooks resume`")
    elif why is Held.MOVED:
        detail = "this database was moved to PostgreSQL: nothing is delivered from here"
        remedy = "serve from there; if this one is to go on nevertheless, run `shopbell webhooks resume`"
        yield Finding(Level.WARNING, "webhooks", detail, remedy)


def _stored_times(tx: Connection, now_ms: int) -> Iterator[Finding]:
    newest_ms = tx.execute(select(func.max(audit_entries.c.at_ms))).scalar()
    if newest_ms is not None and newest_ms > now_ms + CLOCK_TOLERANCE_MS:
        detail = f"the newest entry is {(newest_ms - now_ms) // 1000} s in the future"
        yield Finding(Level.WARNING, "stored times", detail, "the machine's clock was set back; let NTP keep it")


def _stores(tx: Connection) -> Iterator[Finding]:
    b = businesses.c
    untold = (b.tells_store, b.email.is_(None), b.deactivated_at_ms.is_(None))
    ids = tx.scalars(select(b.id).where(*untold).order_by(b.id).limit(_STORES_NAMED + 1)).all()
    if not ids:
        return
    named = ", ".join(map(str, ids[:_STORES_NAMED])) + (" and others" if len(ids) > _STORES_NAMED else "")
    detail = f"no mail says that a customer waits at these businesses, which have no e-mail address: {named}"
    remedy = "run `shopbell business update ID --email shop@example.com`, or with `--no-tell-store`"
    yield Finding(Level.WARNING, "stores", detail, remedy)


def _secret_key(tx: Connection, settings: Settings) -> Finding:
    remedy = "set SHOPBELL_SECRET_KEY (or put secret.key back) as it was; else make new tokens"
    if settings.secret_key is None and not keys.key_file(settings).exists():
        if installation.fits(tx, keys.Keys(())):
            return _ok("secret key", "there is none yet; it is made when it is needed")
        return Finding(Level.ERROR, "secret key", f"{keys.key_file(settings)} is missing: no token works", remedy)
    try:
        fits = installation.fits(tx, keys.load(settings))
    except SettingsError as error:
        return Finding(Level.ERROR, "secret key", str(error), remedy)
    if fits:
        return _ok("secret key", "it is the one of this database")
    return Finding(Level.ERROR, "secret key", "it is not the one of this database: no token works", remedy)
