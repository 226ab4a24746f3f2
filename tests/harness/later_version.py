"""Makes the test's process a later version of Shopbell, which has one more migration."""

import shutil
from pathlib import Path

import pytest

from shopbell.db import migrate as migration

ADDED_TABLE = "added_later"
_NEXT = """
import sqlalchemy as sa
from alembic import op

revision = "9998"
down_revision = "{newest}"


def upgrade() -> None:
    op.create_table("{table}", sa.Column("id", sa.BigInteger(), primary_key=True))
    for table in ("organizations", "customers", "threads", "messages", "events"):
        op.add_column(table, sa.Column("added_later", sa.Text(), nullable=True))
    {then}
"""


def newest_revision() -> str:
    """The last migration of today."""
    return migration.revisions()[-1]


def become_later_version(monkeypatch: pytest.MonkeyPatch, folder: Path, then: str = "pass") -> None:
    """Add a migration.

    Args:
        folder: where the copy of the migrations goes.
        then: the last statement of the migration.
    """
    copy = folder / "migrations"
    shutil.copytree(Path(migration.__file__).parent / "migrations", copy, dirs_exist_ok=True)
    (copy / "versions" / "v9998_next.py").write_text(
        _NEXT.format(newest=newest_revision(), table=ADDED_TABLE, then=then)
    )
    monkeypatch.setattr(migration, "MIGRATIONS", copy)
