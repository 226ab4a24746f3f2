"""Mark the webhook of an organization's push URL."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the mark."""
    op.add_column("webhooks", sa.Column("is_push", sa.Boolean(), server_default=sa.false(), nullable=False))
