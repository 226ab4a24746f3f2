"""All tables of Shopbell.

Rules: every key and foreign key of a tenant's table leads with ``organization_id``, so that no query crosses
organizations and PostgreSQL can be sharded by it. Times are integers of Unix milliseconds, because SQLite has no type
for them. Ids come from one counter of the installation (``ids``) and stay below 2**53, so that JavaScript reads them
exactly. What must never be is impossible here: UNIQUE, CHECK and foreign keys, not code, say so.
"""

from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    ForeignKeyConstraint,
    Index,
    Integer,
    MetaData,
    PrimaryKeyConstraint,
    String,
    Table,
    Text,
    UniqueConstraint,
    false,
)
from sqlalchemy.sql.schema import SchemaItem

FIRST_ID = 12344
"""The first id given out. So the first organization's first business is 12345, the id in the documentation's
example."""

THREAD_STATUSES = ("waiting", "replied", "resolved")
CHANNELS = ("WEB", "EMAIL", "SMS", "WHATSAPP")
IDENTITY_KINDS = ("email", "phone")

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(referred_table_name)s",
        "pk": "pk_%(table_name)s",
    }
)


def _table(name: str, *items: SchemaItem, **options: Any) -> Table:
    return Table(
        name,
        metadata,
        *items,
        # Without a rowid SQLite keeps the rows in their key's own order: one tree to write to instead of two.
        sqlite_with_rowid=False,
        **options,
    )


def _id(name: str) -> Column[int]:
    return Column(name, BigInteger, nullable=False, autoincrement=False)


def _ms(name: str, *, nullable: bool = False) -> Column[int]:
    return Column(name, BigInteger, nullable=nullable)


def _text(name: str, *, nullable: bool = False) -> Column[str]:
    return Column(name, Text, nullable=nullable)


def _one_of(column: str, values: tuple[str, ...]) -> CheckConstraint:
    return CheckConstraint(f"{column} IN ({', '.join(repr(value) for value in values)})", name=f"{column}_known")


def _of(table: str, *columns: str) -> ForeignKeyConstraint:
    """A foreign key to ``table`` that leads with the organization."""
    targets = ["organization_id", "id"]
    return ForeignKeyConstraint(["organization_id", *columns], [f"{table}.{target}" for target in targets])


installation = _table(
    "installation",
    Column("name", String(64), primary_key=True),
    _text("value"),
)
"""Facts about this installation: the fingerprint of its secret key."""

organizations = _table(
    "organizations",
    Column("id", BigInteger, primary_key=True, autoincrement=False),
    _text("name"),
    _ms("created_at_ms"),
)

businesses = _table(
    "businesses",
    _id("organization_id"),
    _id("id"),
    _text("name"),
    _text("locale"),
    _text("default_region", nullable=True),
    _text("time_zone"),
    _text("email", nullable=True),
    _text("phone_number", nullable=True),
    _text("voice_forward_number", nullable=True),
    _ms("created_at_ms"),
    _ms("deactivated_at_ms", nullable=True),
    PrimaryKeyConstraint("organization_id", "id"),
    ForeignKeyConstraint(["organization_id"], ["organizations.id"]),
)

api_tokens = _table(
    "api_tokens",
    _id("organization_id"),
    _id("id"),
    _text("name"),
    Column("token_hash", String(64), nullable=False),
    Column("hint", String(4), nullable=False),
    _text("scopes"),
    _ms("created_at_ms"),
    _ms("last_used_at_ms", nullable=True),
    _ms("expires_at_ms", nullable=True),
    _ms("revoked_at_ms", nullable=True),
    PrimaryKeyConstraint("organization_id", "id"),
    UniqueConstraint("token_hash"),
    ForeignKeyConstraint(["organization_id"], ["organizations.id"]),
)
"""API tokens; the token itself is kept nowhere, only its keyed hash and its last four characters. ``scopes``: separated
by spaces."""

customers = _table(
    "customers",
    _id("organization_id"),
    _id("id"),
    _text("locale", nullable=True),
    _text("first_name", nullable=True),
    _text("last_name", nullable=True),
    _text("company", nullable=True),
    _ms("created_at_ms"),
    PrimaryKeyConstraint("organization_id", "id"),
    ForeignKeyConstraint(["organization_id"], ["organizations.id"]),
)

customer_identities = _table(
    "customer_identities",
    _id("organization_id"),
    Column("kind", String(16), nullable=False),
    _text("value"),
    _id("customer_id"),
    _text("shown"),
    _ms("created_at_ms"),
    PrimaryKeyConstraint("organization_id", "kind", "value"),
    _of("customers", "customer_id"),
    _one_of("kind", IDENTITY_KINDS),
    # Not led by the organization: on a new table PostgreSQL would take its prefix for the way to an address.
    Index(None, "customer_id", "organization_id"),
)
"""What a customer is known by: ``value`` in normal form, of which an organization has at most one; ``shown`` as first
sent."""

possible_duplicates = _table(
    "possible_duplicates",
    _id("organization_id"),
    _id("customer_id"),
    _id("other_customer_id"),
    _ms("found_at_ms"),
    PrimaryKeyConstraint("organization_id", "customer_id", "other_customer_id"),
    ForeignKeyConstraint(
        ["organization_id", "customer_id"],
        ["customers.organization_id", "customers.id"],
        name="fk_possible_duplicates_customer",
    ),
    ForeignKeyConstraint(
        ["organization_id", "other_customer_id"],
        ["customers.organization_id", "customers.id"],
        name="fk_possible_duplicates_other_customer",
    ),
    CheckConstraint("customer_id < other_customer_id", name="ordered"),
    Index(None, "organization_id", "other_customer_id"),
)
"""Pairs of customers that may be one person, the smaller id first, for an employee to merge."""

threads = _table(
    "threads",
    _id("organization_id"),
    _id("id"),
    _id("customer_id"),
    _id("business_id"),
    Column("channel", String(16), nullable=False),
    Column("status", String(16), nullable=False),
    Column("last_sequence", Integer, nullable=False),
    _ms("created_at_ms"),
    _ms("updated_at_ms"),
    PrimaryKeyConstraint("organization_id", "id"),
    UniqueConstraint("organization_id", "customer_id", "business_id"),
    _of("customers", "customer_id"),
    _of("businesses", "business_id"),
    _one_of("status", THREAD_STATUSES),
    _one_of("channel", CHANNELS),
    # Room in each page lets PostgreSQL change a row in place, without touching the indexes.
    postgresql_with={"fillfactor": 80},
)
"""One conversation per customer and business. ``last_sequence`` is taken under the row's lock and numbers its
messages."""

messages = _table(
    "messages",
    _id("organization_id"),
    _id("thread_id"),
    Column("sequence", Integer, nullable=False),
    _id("id"),
    Column("from_customer", Boolean, nullable=False),
    Column("internal", Boolean, nullable=False, server_default=false()),
    _text("body"),
    _ms("created_at_ms"),
    PrimaryKeyConstraint("organization_id", "thread_id", "sequence"),
    UniqueConstraint("organization_id", "id"),
    _of("threads", "thread_id"),
    CheckConstraint("sequence > 0", name="sequence_positive"),
)

events = _table(
    "events",
    _id("organization_id"),
    _id("id"),
    Column("type", String(32), nullable=False),
    _id("business_id"),
    _id("customer_id"),
    _id("thread_id"),
    Column("message_id", BigInteger, nullable=True),
    _ms("created_at_ms"),
    PrimaryKeyConstraint("organization_id", "id"),
)
"""What has happened, written in the transaction in which it happened: webhooks, mails and live streams derive from it.
It names rows and copies none, so that what is erased there is erased."""

idempotency_keys = _table(
    "idempotency_keys",
    _id("organization_id"),
    _id("token_id"),
    Column("route", String(64), nullable=False),
    Column("key", String(255), nullable=False),
    Column("body_hash", String(64), nullable=False),
    _id("result_id"),
    _ms("created_at_ms"),
    PrimaryKeyConstraint("organization_id", "token_id", "route", "key"),
    _of("api_tokens", "token_id"),
    Index(None, "created_at_ms"),
)
"""Requests that were answered 200, for 24 hours; ``result_id`` is the id that the answer carried."""

audit_entries = _table(
    "audit_entries",
    _id("organization_id"),
    _id("id"),
    _ms("at_ms"),
    _text("actor"),
    _text("action"),
    _text("subject"),
    PrimaryKeyConstraint("organization_id", "id"),
    ForeignKeyConstraint(["organization_id"], ["organizations.id"]),
)
"""Who changed what: ``actor`` such as ``command line``, ``action`` such as ``token.revoke``, ``subject`` such as
``token 12``."""
