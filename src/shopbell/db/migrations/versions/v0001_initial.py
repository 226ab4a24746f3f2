"""Create all tables of version 0.1.0.

``initial/`` spells them out for each engine. Databases have them, so those files never change.
"""

from pathlib import Path

from alembic import op

from shopbell.db import schema

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_FIRST_ID = 12344
_SUBJECTS = (
    "core",  # first: the others refer to its tables
    "accounts",
    "customers",
    "imports",
    "inbox",
    "inbox_actions",
    "inbox_tools",
    "web_push",
    "webhooks",
)
_FUNCTIONS = ("store_messages_v1",)


def upgrade() -> None:
    """Create the tables, and the counter that all ids come from.

    The counter is a sequence on PostgreSQL, a row on SQLite. PostgreSQL also gets the functions that use the tables.
    """
    connection = op.get_bind()
    dialect = op.get_context().dialect.name
    for subject in _SUBJECTS:
        statements = (Path(__file__).parents[1] / "initial" / dialect / f"{subject}.sql").read_text()
        for statement in statements.rstrip(";\n").split(";\n"):
            connection.exec_driver_sql(statement)
    if dialect == "postgresql":
        op.execute(f"CREATE SEQUENCE ids START {_FIRST_ID}")
        folder = Path(str(schema.__file__)).parent / "functions"
        for name in _FUNCTIONS:
            connection.exec_driver_sql((folder / f"{name}.sql").read_text())
    else:
        op.execute("CREATE TABLE ids (next_id BIGINT NOT NULL)")
        op.execute(f"INSERT INTO ids VALUES ({_FIRST_ID})")
