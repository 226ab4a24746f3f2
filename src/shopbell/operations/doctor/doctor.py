"""Diagnose an installation without changing it, and say how to fix problems."""

import asyncio
import platform
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import aclosing, closing
from http.cookies import SimpleCookie
from typing import TYPE_CHECKING, cast

from sqlalchemy import Connection, func, select, text

from shopbell import __version__
from shopbell.accounts.oidc_provider import ProviderFailure, open_provider
from shopbell.attachments.open_store import open_store
from shopbell.channels.email.smtp import SmtpTransport
from shopbell.db import installation, sqlite
from shopbell.db.connect import connect_database
from shopbell.db.failures import PoolerError
from shopbell.db.installation import PauseReason
from shopbell.db.migrate import State, revision_of, state
from shopbell.db.schema.core import audit_entries, businesses
from shopbell.db.sqlite_files import files_of, missing_reason
from shopbell.errors import CommandError, SettingsError, StorageError
from shopbell.operations import demo
from shopbell.operations.doctor.address import check_certificate, check_name
from shopbell.operations.doctor.backups import check_age, check_place
from shopbell.operations.doctor.dns_records import DnsRecords
from shopbell.operations.doctor.email_records import check_email_records
from shopbell.operations.doctor.findings import CLOCK_TOLERANCE_MS, Finding, Level, ok
from shopbell.operations.doctor.inbound_email import check_mailbox
from shopbell.operations.doctor.machine import clock, data_folder, disk
from shopbell.operations.doctor.mail import check_smtp
from shopbell.safe_http.addresses import AllowList
from shopbell.safe_http.connector import GuardedConnector, dial
from shopbell.safe_http.dns import SystemResolver
from shopbell.safe_http.tls import system_certificates
from shopbell.security import keys
from shopbell.settings import sources
from shopbell.settings.settings import Settings, unknown_variables

if TYPE_CHECKING:
    from shopbell.db.postgres import PostgresDatabase

SQLITE_SAFE = (3, 51, 3)
_SYNCHRONOUS_FULL = 2
_STORES_NAMED = 10
_CREATE_NOTHING = "put it back; until then, no program may create an empty database at that path"
_COOKIE_SIZES = (1_024, 8_192)
_QUADRATIC_GROWTH = 24
"""Between linear growth (8) and quadratic growth (64) from the shorter to the longer cookie."""
_NOT_OURS = "Shopbell sets this on each connection, but something changed it; check for modified code"


def examine(settings: Settings, records: DnsRecords, *, now_ms: int) -> list[Finding]:
    """Check everything that this installation depends on.

    Args:
        records: looks up the DNS records of email.
        now_ms: this machine's time in Unix ms.

    Returns:
        All findings, including good ones, in a fixed order.
    """
    findings = [ok("versions", f"Shopbell {__version__}, Python {platform.python_version()}, {platform.platform()}")]
    findings.append(cookie_parser())
    findings.append(clock(now_ms))
    findings += _variables()
    if settings.nats_url is not None:
        findings.append(_nats(settings.nats_url.get_secret_value()))
    findings += [_attachments(settings), *check_place(settings)]
    findings += asyncio.run(_network(settings, records, now_ms))
    findings.append(_texts(settings))
    if settings.is_sqlite:
        findings += [
            _sqlite_library(),
            disk(settings.sqlite_path),
            data_folder(settings.sqlite_path),
            *_file_modes(settings),
        ]
        if not settings.sqlite_path.exists():
            if (reason := missing_reason(settings.sqlite_path)) is not None:
                return [*findings, Finding(Level.ERROR, "database", reason, _CREATE_NOTHING)]
            remedy = "`shopbell serve` or `shopbell migrate` creates it"
            return [*findings, Finding(Level.WARNING, "database", "it does not exist yet", remedy)]
    database = connect_database(settings)
    try:
        if settings.is_sqlite:
            findings += database.read_now(lambda tx: list(_sqlite_durability(tx)))
        else:
            from shopbell.operations.doctor.postgresql import examine_server  # imports PostgreSQL's driver

            findings += examine_server(cast("PostgresDatabase", database))
        findings += database.read_now(_database, settings, now_ms)
        if settings.mailbox is not None:
            findings.append(asyncio.run(check_mailbox(settings, settings.mailbox, database)))
    except (CommandError, PoolerError) as error:
        detail, _, remedy = str(error).partition("; ")
        findings.append(Finding(Level.ERROR, "connection pooler", detail, remedy))
    except StorageError as error:
        remedy = "check that it is running and that SHOPBELL_DATABASE_URL is right"
        findings.append(Finding(Level.ERROR, "database", str(error), remedy))
    finally:
        database.engine.dispose()
    return findings


def cookie_parser(parse: Callable[[str], object] = SimpleCookie) -> Finding:
    """Check whether Python's cookie parser takes quadratic time (CVE-2024-7592).

    The check measures it, because distributions fix old versions without changing the version number.

    Args:
        parse: the parser.
    """
    short_s, long_s = (min(_cpu_s_of(parse, size) for _ in range(3)) for size in _COOKIE_SIZES)
    version = platform.python_version()
    if long_s < _QUADRATIC_GROWTH * short_s:
        return ok("cookie parser", f"the parser of Python {version} takes linear time")
    detail = f"the parser of Python {version} takes quadratic time (CVE-2024-7592)"
    remedy = "update Python to 3.11.10, 3.12.6 or later; Shopbell does not use this parser itself"
    return Finding(Level.WARNING, "cookie parser", detail, remedy)


def _cpu_s_of(parse: Callable[[str], object], size: int) -> float:
    cookie = 'a="' + "\\" * size + '"'
    began_s = time.thread_time()
    parse(cookie)
    return time.thread_time() - began_s


def _variables() -> Iterator[Finding]:
    unknown = unknown_variables()
    for line in unknown:
        detail, _, suggestion = line.partition("; ")
        yield Finding(Level.WARNING, "settings", detail, suggestion or "docs/settings.md lists all settings")
    if not unknown:
        yield ok("settings", "every variable that starts with SHOPBELL_ is a setting")


def _attachments(settings: Settings) -> Finding:
    remedy = (
        "set SHOPBELL_ATTACHMENTS_URL to s3://bucket/prefix, or to file:///folder on a disk that all processes share"
    )
    try:
        store = open_store(settings)
        if store is None:
            return Finding(Level.WARNING, "attachments", "no store is configured: uploads are refused", remedy)
        with closing(store):
            return ok("attachments", asyncio.run(store.check()))
    except SettingsError as error:
        return Finding(Level.ERROR, "attachments", "`shopbell serve` would not start", str(error))
    except StorageError as error:
        remedy = "check the permissions of this user and the SHOPBELL_ATTACHMENTS_… settings"
        return Finding(Level.ERROR, "attachments", str(error), remedy)


def _texts(settings: Settings) -> Finding:
    if settings.sms_turned_off:
        return ok(
            "SMS", "turned off by SHOPBELL_SMS_PROVIDER: every text message fails with the reason no_sms_provider"
        )
    if settings.sms_provider == "none":
        detail = "no provider is set: every text message to customers fails with the reason no_sms_provider"
        return Finding(Level.ERROR, "SMS", detail, "set SHOPBELL_SMS_PROVIDER; use `none` to turn text messages off")
    if settings.sms_provider == "folder":
        detail = "text messages are written into a folder and not sent"
        return Finding(Level.ERROR, "SMS", detail, "set SHOPBELL_SMS_PROVIDER to twilio, http or none")
    return ok("SMS", f"by {settings.sms_provider}")


def _nats(url: str) -> Finding:
    from shopbell.realtime import nats  # the import takes 0.1 s and few installations need it

    try:
        address = nats.parse_nats_url(url)
        took_ms = asyncio.run(nats.round_trip_ms(address))
    except SettingsError as error:
        return Finding(Level.ERROR, "NATS", "`shopbell serve` would not start", str(error))
    except Exception as error:  # noqa: BLE001 - any error is a finding
        # Do not show its message, which may quote credentials.
        detail = f"{address} is not reachable ({type(error).__name__}): the processes poll for events instead"
        remedy = "check that it is running and that SHOPBELL_NATS_URL is right, including user and password"
        return Finding(Level.WARNING, "NATS", detail, remedy)
    return ok("NATS", f"{address} responds within {took_ms:.1f} ms")


async def _network(settings: Settings, records: DnsRecords, now_ms: int) -> list[Finding]:
    """Check what other machines must know of this installation, and how it reaches them."""
    resolve = SystemResolver()
    connector = GuardedConnector(
        AllowList.parse(settings.outbound_allow),
        resolve=resolve,
        dial=dial,
        dns_timeout_s=settings.delivery_dns_timeout_s,
    )
    *single, email = await asyncio.gather(
        check_name(settings, resolve=resolve, records=records),
        check_certificate(settings, connector, system_certificates(), now_ms=now_ms),
        check_smtp(SmtpTransport.of(settings), settings),
        _openid_connect(settings),
        check_email_records(settings, records),
    )
    return [*filter(None, single), *email]


async def _openid_connect(settings: Settings) -> Finding:
    try:
        if (provider := open_provider(settings)) is None:
            return ok("OpenID Connect", "no provider is set")
        async with aclosing(provider):
            await provider.published()
    except SettingsError as error:
        return Finding(Level.ERROR, "OpenID Connect", "`shopbell serve` would not start", str(error))
    except ProviderFailure as failure:
        remedy = "check SHOPBELL_OIDC_ISSUER; a provider with a private address must be in SHOPBELL_OUTBOUND_ALLOW"
        return Finding(Level.ERROR, "OpenID Connect", f"employees cannot sign in with it: {failure}", remedy)
    return ok("OpenID Connect", f"{provider.name} publishes everything that is needed")


def _sqlite_library() -> Finding:
    brought = sqlite.driver.__name__.partition(".")[0]
    detail = f"SQLite {sqlite.driver.sqlite_version}, by {brought}"
    if sqlite.driver.sqlite_version_info >= SQLITE_SAFE:
        return ok("SQLite", detail)
    safe = ".".join(map(str, SQLITE_SAFE))
    remedy = f"install the package pysqlite3, or a Python with SQLite {safe} or later, or use PostgreSQL"
    return Finding(
        Level.WARNING, "SQLite", f"{detail}: before {safe}, a reset of its log could corrupt the file", remedy
    )


def _file_modes(settings: Settings) -> Iterator[Finding]:
    config = sources.file()
    if config.is_file() and config.stat().st_mode & stat.S_IRWXO:  # the group may be that of the server
        detail = f"every user of this machine can read {config}, which can contain passwords"
        yield Finding(Level.WARNING, "file modes", detail, f"chmod o= {config}")
    open_files = [
        each
        for each in (*files_of(settings.sqlite_path), keys.key_file(settings), demo.file(settings))
        if each.exists() and each.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO)
    ]
    for each in open_files:
        detail = f"other users of this machine can access {each}"
        yield Finding(Level.WARNING, "file modes", detail, f"chmod 600 {each}")
    if not open_files:
        yield ok("file modes", "only the owner can access the files")


def _database(tx: Connection, settings: Settings, now_ms: int) -> list[Finding]:
    found = state(tx)
    if found is not State.CURRENT:
        remedy = {
            State.EMPTY: "`shopbell serve` or `shopbell migrate` creates the tables",
            State.OLDER: "make a backup, then run `shopbell migrate`",
            State.NEWER: "install the version of Shopbell that last used it, or a later one",
            State.FOREIGN: "set SHOPBELL_DATABASE_URL to a separate database",
        }[found]
        level = Level.WARNING if found is State.EMPTY else Level.ERROR
        return [Finding(level, "migrations", f"the database is {found.value}", remedy)]
    findings = [ok("migrations", f"at revision {revision_of(tx)}, which this version requires")]
    findings += [_secret_key(tx, settings), *_paused_deliveries(tx), *_stored_times(tx, now_ms), *_stores(tx)]
    findings.append(check_age(tx, settings, now_ms))
    return findings


def _sqlite_durability(tx: Connection) -> Iterator[Finding]:
    mode = tx.execute(text("PRAGMA journal_mode")).scalar()
    if mode == "wal":
        yield ok("journal mode", "wal")
    else:
        remedy = "put the database on a local disk: network file systems do not support it"
        yield Finding(Level.ERROR, "journal mode", f"{mode} instead of wal", remedy)
    synchronous = tx.execute(text("PRAGMA synchronous")).scalar_one()
    full = synchronous >= _SYNCHRONOUS_FULL
    detail = "synchronous = FULL: each commit is on the disk before the response"
    yield (
        ok("durability", detail)
        if full
        else Finding(Level.ERROR, "durability", f"synchronous = {synchronous}", _NOT_OURS)
    )


def _paused_deliveries(tx: Connection) -> Iterator[Finding]:
    why = installation.pause_reason(tx)
    if why is PauseReason.RESTORED:
        detail = "a backup was restored: deliveries are paused until you have checked it"
        yield Finding(Level.WARNING, "webhooks", detail, "run `shopbell webhooks resume`")
    elif why is PauseReason.MOVED:
        detail = "this database was moved to PostgreSQL: its deliveries are paused"
        remedy = "run the server on PostgreSQL; to continue with this database, run `shopbell webhooks resume`"
        yield Finding(Level.WARNING, "webhooks", detail, remedy)


def _stored_times(tx: Connection, now_ms: int) -> Iterator[Finding]:
    newest_ms = tx.execute(select(func.max(audit_entries.c.at_ms))).scalar()
    if newest_ms is not None and newest_ms > now_ms + CLOCK_TOLERANCE_MS:
        detail = f"the newest entry is {(newest_ms - now_ms) // 1000} s in the future"
        yield Finding(
            Level.WARNING, "stored times", detail, "the machine's clock was set back; synchronize it with NTP"
        )


def _stores(tx: Connection) -> Iterator[Finding]:
    b = businesses.c
    untold = (b.tells_store, b.email.is_(None), b.deactivated_at_ms.is_(None))
    ids = tx.scalars(select(b.id).where(*untold).order_by(b.id).limit(_STORES_NAMED + 1)).all()
    if not ids:
        return
    named = ", ".join(map(str, ids[:_STORES_NAMED])) + (" and others" if len(ids) > _STORES_NAMED else "")
    detail = f"these businesses have no email address and get no email about waiting customers: {named}"
    remedy = "run `shopbell business update ID --email shop@example.com`, or with `--no-notify-business`"
    yield Finding(Level.WARNING, "stores", detail, remedy)


def _secret_key(tx: Connection, settings: Settings) -> Finding:
    remedy = "restore the previous SHOPBELL_SECRET_KEY or secret.key, or create new tokens"
    if settings.secret_key is None and not keys.key_file(settings).exists():
        if installation.key_matches(tx, keys.Keys(())):
            return ok("secret key", "it does not exist yet; Shopbell creates it when needed")
        return Finding(Level.ERROR, "secret key", f"{keys.key_file(settings)} is missing: no token works", remedy)
    try:
        fits = installation.key_matches(tx, keys.load(settings))
    except SettingsError as error:
        return Finding(Level.ERROR, "secret key", str(error), remedy)
    if fits:
        return ok("secret key", "it belongs to this database")
    return Finding(Level.ERROR, "secret key", "it does not belong to this database: no token works", remedy)
