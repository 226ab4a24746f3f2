"""What a database consists of, so that two can be compared."""

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, inspect, text

from harness.installation import Database
from shopbell.db import schema
from shopbell.db.schema.core import metadata

if TYPE_CHECKING:
    from harness.databases import Databases

FUNCTIONS = Path(schema.__file__).parent / "functions"
"""The functions of PostgreSQL, a file for each."""
_OTHER_TABLES = ("alembic_version", "ids")
"""Tables that are not in the metadata."""
_DEFINITIONS = {
    "sqlite": "SELECT sql FROM sqlite_master WHERE type IN ('trigger', 'view') UNION ALL "
    "SELECT name || ' WITHOUT ROWID' FROM sqlite_master WHERE type = 'table' AND sql LIKE '%WITHOUT ROWID%'",
    "postgresql": "SELECT pg_get_functiondef(oid) FROM pg_proc WHERE pronamespace = current_schema()::regnamespace "
    "UNION ALL SELECT pg_get_triggerdef(oid) FROM pg_trigger WHERE NOT tgisinternal UNION ALL "
    "SELECT concat_ws(' ', relkind, relname, reloptions) FROM pg_class "
    "WHERE relnamespace = current_schema()::regnamespace "
    "AND relname NOT IN ('alembic_version', 'alembic_version_pkc', 'ids')",
}


_CAST = re.compile(r"::(character varying|text)(\[\])?|[()]")
"""What PostgreSQL adds to conditions. It adds them in other places when it restores a dump."""


def described(database: Database) -> set[str]:
    """Everything that migrations can change: tables, columns, constraints, indexes, triggers, views and functions."""
    with database.connection() as connection:
        found = inspect(connection)
        kinds: dict[str, Any] = {
            "column": found.get_multi_columns(),
            "primary key": found.get_multi_pk_constraint(),
            "foreign key": found.get_multi_foreign_keys(),
            "unique": found.get_multi_unique_constraints(),
            "check": found.get_multi_check_constraints(),
            "index": found.get_multi_indexes(),
        }
        definitions = connection.scalars(text(_DEFINITIONS[connection.dialect.name])).all()
    lines = {str(definition) for definition in definitions}
    for kind, tables in kinds.items():
        for (_, table), items in tables.items():
            if table not in _OTHER_TABLES:
                each = items if isinstance(items, list) else [items]
                lines |= {_CAST.sub("", f"{kind} of {table}: {_line(item)}") for item in each}
    return lines


def live_schema(engine: str, databases: "Databases", folder: Path) -> set[str]:
    """What a database of today's code consists of, described."""
    database = Database(f"sqlite:///{folder / 'live.db'}") if engine == "sqlite" else databases.empty()
    with database.connection() as connection:
        metadata.create_all(connection)
        if engine == "postgresql":
            _create_functions(connection)
    lines = described(database)
    if engine == "postgresql":
        databases.drop(database)
    return lines


def _create_functions(connection: Connection) -> None:
    for file in FUNCTIONS.iterdir():
        connection.exec_driver_sql(file.read_text())


def _line(item: Any) -> str:
    """One line of what the database says about a column, constraint or index."""
    if isinstance(item, dict):
        return ", ".join(f"{key} {_line(value)}" for key, value in sorted(item.items()) if value not in (None, {}))
    return str(item)
