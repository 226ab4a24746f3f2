"""What a migration does when a column gets more values than its CHECK constraint allows."""

import re

from alembic import op
from sqlalchemy import text


def change_known_values(table: str, column: str, values: tuple[str, ...]) -> None:
    """Let a column with a constraint of ``columns.one_of`` have other values.

    All rows must have one of them. On SQLite this does not copy the table, which other tables refer to.

    Raises:
        ValueError: the column has no such constraint.
    """
    name = f"ck_{table}_{column}_known"
    condition = f"{column} IN ({', '.join(repr(value) for value in values)})"
    connection = op.get_bind()
    if connection.dialect.name == "postgresql":
        op.drop_constraint(op.f(name), table, type_="check")
        op.create_check_constraint(op.f(name), table, condition)
        return
    # See "Making Other Kinds Of Table Schema Changes" in https://www.sqlite.org/lang_altertable.html.
    found = "SELECT sql FROM sqlite_master WHERE type = 'table' AND name = :table"
    before = connection.scalar(text(found), {"table": table}) or ""
    pattern = rf"(CONSTRAINT {name}\s+CHECK )\({column} IN \([^()]*\)\)"
    after, count = re.subn(pattern, lambda match: f"{match[1]}({condition})", before)
    if count != 1:
        raise ValueError(f"{table}.{column} has no constraint {name}")
    version = connection.scalar(text("PRAGMA schema_version"))
    connection.exec_driver_sql("PRAGMA writable_schema = ON")
    change = "UPDATE sqlite_master SET sql = :sql WHERE type = 'table' AND name = :table"
    connection.execute(text(change), {"sql": after, "table": table})
    connection.exec_driver_sql(f"PRAGMA schema_version = {version + 1}")
    connection.exec_driver_sql("PRAGMA writable_schema = RESET")
