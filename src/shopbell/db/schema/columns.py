"""Column and key helpers for the tables.

Rules for all tables:

- Every key and foreign key of an organization's table starts with ``organization_id``, so that no query crosses
  organizations and PostgreSQL can be sharded by it.
- Times are Unix milliseconds, because SQLite has no type for times.
- Ids come from one counter of the installation (``ids``) and are lower than 2**53, so that JavaScript represents them
  exactly.
- UNIQUE, CHECK and foreign keys enforce invariants, not code.
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
    """Define a table in the shared metadata."""
    return Table(
        name,
        metadata,
        *items,
        # Without a rowid, SQLite stores rows in key order and writes to one B-tree instead of two.
        sqlite_with_rowid=False,
        **options,
    )


def id_(name: str) -> Column[int]:
    """Define a required id."""
    return Column(name, BigInteger, nullable=False, autoincrement=False)


def ms(name: str, *, nullable: bool = False) -> Column[int]:
    """Define a time in Unix milliseconds."""
    return Column(name, BigInteger, nullable=nullable)


def text_(name: str, *, nullable: bool = False) -> Column[str]:
    """Define a string of any length."""
    return Column(name, Text, nullable=nullable)


def one_of(column: str, values: tuple[str, ...]) -> CheckConstraint:
    """Restrict a column to the given values."""
    return CheckConstraint(f"{column} IN ({', '.join(repr(value) for value in values)})", name=f"{column}_known")


def foreign_key(table: str, *columns: str) -> ForeignKeyConstraint:
    """Define a foreign key to ``table`` that starts with the organization."""
    targets = ["organization_id", "id"]
    return ForeignKeyConstraint(["organization_id", *columns], [f"{table}.{target}" for target in targets])
