"""What tables are made of: ids, times, and keys that lead with the organization.

Rules: every key and foreign key of a tenant's table leads with ``organization_id``, so that no query crosses
organizations and PostgreSQL can be sharded by it. Times are integers of Unix milliseconds, because SQLite has no type
for them. Ids come from one counter of the installation (``ids``) and stay below 2**53, so that JavaScript reads them
exactly. What must never be is impossible in the tables: UNIQUE, CHECK and foreign keys, not code, say so.
"""

from typing import Any

from sqlalchemy import BigInteger, CheckConstraint, Column, ForeignKeyConstraint, MetaData, Table, Text
from sqlalchemy.sql.schema import SchemaItem

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(referred_table_name)s",
        "pk": "pk_%(table_name)s",
    }
)


def table(name: str, *items: SchemaItem, **options: Any) -> Table:
    """A table of the one metadata."""
    return Table(
        name,
        metadata,
        *items,
        # Without a rowid SQLite keeps the rows in their key's own order: one tree to write to instead of two.
        sqlite_with_rowid=False,
        **options,
    )


def id_(name: str) -> Column[int]:
    """An id that is always there."""
    return Column(name, BigInteger, nullable=False, autoincrement=False)


def ms(name: str, *, nullable: bool = False) -> Column[int]:
    """A time in Unix milliseconds."""
    return Column(name, BigInteger, nullable=nullable)


def text_(name: str, *, nullable: bool = False) -> Column[str]:
    """A text of any length."""
    return Column(name, Text, nullable=nullable)


def one_of(column: str, values: tuple[str, ...]) -> CheckConstraint:
    """A column takes no other values."""
    return CheckConstraint(f"{column} IN ({', '.join(repr(value) for value in values)})", name=f"{column}_known")


def of(table: str, *columns: str) -> ForeignKeyConstraint:
    """A foreign key to ``table`` that leads with the organization."""
    targets = ["organization_id", "id"]
    return ForeignKeyConstraint(["organization_id", *columns], [f"{table}.{target}" for target in targets])
