"""Each conversation knows the identities that its customer's last message named."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the columns. Only mails have kept their sender; other conversations get it with their next message."""
    for table, prefix in (("threads", "last_"), ("customer_sessions", "")):
        for kind in ("email", "phone"):
            op.add_column(table, sa.Column(f"{prefix}{kind}", sa.Text(), nullable=True))
    op.execute(
        """
        UPDATE threads SET last_email = (
            SELECT mail_details.sender FROM mail_details
            JOIN messages ON messages.organization_id = mail_details.organization_id
                         AND messages.id = mail_details.message_id
            WHERE mail_details.organization_id = threads.organization_id AND mail_details.thread_id = threads.id
              AND messages.from_customer
            ORDER BY messages.sequence DESC
            LIMIT 1)
        WHERE channel = 'EMAIL'
        """
    )
