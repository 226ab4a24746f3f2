"""Count the bytes of uploaded files per day."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the counters."""
    op.create_table(
        "upload_usage",
        sa.Column("organization_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("day", sa.Integer(), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("subject", sa.String(length=64), nullable=False),
        sa.Column("used_bytes", sa.BigInteger(), nullable=False),
        sa.CheckConstraint(
            "kind IN ('organization', 'customers', 'address', 'session')", name=op.f("ck_upload_usage_kind_known")
        ),
        sa.ForeignKeyConstraint(["organization_id"], ["organizations.id"], name=op.f("fk_upload_usage_organizations")),
        sa.PrimaryKeyConstraint("organization_id", "day", "kind", "subject", name=op.f("pk_upload_usage")),
        sqlite_with_rowid=False,
    )
    op.create_index(op.f("ix_upload_usage_day"), "upload_usage", ["day"], unique=False)
