"""What a blocked customer sends again is known again."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Let what is kept apart have a name of the sender's; what is there has none."""
    op.add_column("blocked_messages", sa.Column("external_id", sa.Text(), nullable=True))
    op.create_index(
        "ix_blocked_messages_external",
        "blocked_messages",
        ["organization_id", "customer_id", "external_id"],
        unique=False,
        sqlite_where=sa.text("external_id IS NOT NULL"),
        postgresql_where=sa.text("external_id IS NOT NULL"),
    )
