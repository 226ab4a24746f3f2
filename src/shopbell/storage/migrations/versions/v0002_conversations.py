"""What the conversations API and the webhooks need; the feed of events, which numbers them in the order of commits."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_OPTIONS = {"sqlite_with_rowid": False}


def upgrade() -> None:
    """Make them; what is there stays."""
    op.create_table(
        "deliveries",
        sa.Column("organization_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("webhook_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("position", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("thread_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("attempts", sa.Integer(), server_default="0", nullable=False),
        sa.Column("step", sa.Integer(), server_default="0", nullable=False),
        sa.Column("first_attempt_at_ms", sa.BigInteger(), nullable=True),
        sa.Column("payload_version", sa.String(length=16), nullable=True),
        sa.Column("body", sa.Text(), nullable=True),
        sa.Column("created_at_ms", sa.BigInteger(), nullable=False),
        sa.Column("settled_at_ms", sa.BigInteger(), nullable=True),
        sa.CheckConstraint(
            "state IN ('waiting', 'delivered', 'exhausted', 'skipped')", name=op.f("ck_deliveries_state_known")
        ),
        sa.PrimaryKeyConstraint("organization_id", "webhook_id", "position", name=op.f("pk_deliveries")),
        **_OPTIONS,
    )
    op.create_index(
        "ix_deliveries_with_body",
        "deliveries",
        ["organization_id", "thread_id", "created_at_ms"],
        unique=False,
        sqlite_where=sa.text("body IS NOT NULL"),
        postgresql_where=sa.text("body IS NOT NULL"),
    )
    op.create_index(
        "ix_deliveries_unsettled",
        "deliveries",
        ["webhook_id", "thread_id", "position"],
        unique=False,
        sqlite_where=sa.text("state = 'waiting'"),
        postgresql_where=sa.text("state = 'waiting'"),
    )
    op.create_index(
        "ix_deliveries_failed",
        "deliveries",
        ["webhook_id", "state", "position"],
        unique=False,
        sqlite_where=sa.text("state IN ('exhausted', 'skipped')"),
        postgresql_where=sa.text("state IN ('exhausted', 'skipped')"),
    )
    op.create_table(
        "delivery_attempts",
        sa.Column("organization_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("webhook_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("position", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("at_ms", sa.BigInteger(), nullable=False),
        sa.Column("duration_ms", sa.Integer(), nullable=False),
        sa.Column("status", sa.Integer(), nullable=True),
        sa.Column("error", sa.String(length=32), nullable=True),
        sa.Column("answer", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint(
            "organization_id", "webhook_id", "position", "number", name=op.f("pk_delivery_attempts")
        ),
        **_OPTIONS,
    )
    op.create_table(
        "delivery_queues",
        sa.Column("organization_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("webhook_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("thread_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("background", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("position", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("due_at_ms", sa.BigInteger(), nullable=False),
        sa.Column("leased_until_ms", sa.BigInteger(), nullable=True),
        sa.Column("slot", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint(
            "organization_id", "webhook_id", "thread_id", "background", name=op.f("pk_delivery_queues")
        ),
        postgresql_with={"fillfactor": 70},
        **_OPTIONS,
    )
    op.create_index(
        op.f("ix_delivery_queues_webhook_id_due_at_ms"), "delivery_queues", ["webhook_id", "due_at_ms"], unique=False
    )
    op.create_index(
        "ix_delivery_queues_leased",
        "delivery_queues",
        ["leased_until_ms"],
        unique=False,
        sqlite_where=sa.text("leased_until_ms IS NOT NULL"),
        postgresql_where=sa.text("leased_until_ms IS NOT NULL"),
    )
    op.create_table(
        "attachments",
        sa.Column("organization_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("uuid", sa.String(length=36), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("content_type", sa.Text(), nullable=False),
        sa.Column("length_bytes", sa.BigInteger(), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("created_at_ms", sa.BigInteger(), nullable=False),
        sa.Column("absent_since_ms", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["organization_id"], ["organizations.id"], name=op.f("fk_attachments_organizations")),
        sa.PrimaryKeyConstraint("organization_id", "id", name=op.f("pk_attachments")),
        sa.UniqueConstraint("uuid", name=op.f("uq_attachments_uuid")),
        **_OPTIONS,
    )
    op.create_index(
        op.f("ix_attachments_organization_id_created_at_ms"),
        "attachments",
        ["organization_id", "created_at_ms"],
        unique=False,
    )
    op.create_table(
        "employees",
        sa.Column("organization_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("email", sa.Text(), nullable=True),
        sa.Column("created_at_ms", sa.BigInteger(), nullable=False),
        sa.Column("deactivated_at_ms", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["organization_id"], ["organizations.id"], name=op.f("fk_employees_organizations")),
        sa.PrimaryKeyConstraint("organization_id", "id", name=op.f("pk_employees")),
        **_OPTIONS,
    )
    op.create_index(
        "ix_employees_active_email",
        "employees",
        ["organization_id", "email"],
        unique=True,
        sqlite_where=sa.text("deactivated_at_ms IS NULL"),
        postgresql_where=sa.text("deactivated_at_ms IS NULL"),
    )
    op.create_table(
        "feeds",
        sa.Column("organization_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("last_position", sa.BigInteger(), nullable=False),
        sa.Column("customer_changes", sa.BigInteger(), server_default="0", nullable=False),
        sa.ForeignKeyConstraint(["organization_id"], ["organizations.id"], name=op.f("fk_feeds_organizations")),
        sa.PrimaryKeyConstraint("organization_id", name=op.f("pk_feeds")),
        postgresql_with={"fillfactor": 20},
        **_OPTIONS,
    )
    op.create_table(
        "templates",
        sa.Column("organization_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("content_sid", sa.String(length=64), nullable=False),
        sa.Column("created_at_ms", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["organization_id"], ["organizations.id"], name=op.f("fk_templates_organizations")),
        sa.PrimaryKeyConstraint("organization_id", "id", name=op.f("pk_templates")),
        sa.UniqueConstraint("organization_id", "content_sid", name=op.f("uq_templates_organization_id_content_sid")),
        **_OPTIONS,
    )
    op.create_table(
        "webhooks",
        sa.Column("organization_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column("enabled", sa.Boolean(), nullable=False),
        sa.Column("topics", sa.Text(), nullable=False),
        sa.Column("payload_version", sa.String(length=16), nullable=False),
        sa.Column("sealed_extra_headers", sa.Text(), nullable=True),
        sa.Column("sealed_secret", sa.Text(), nullable=False),
        sa.Column("sealed_old_secret", sa.Text(), nullable=True),
        sa.Column("old_secret_expires_at_ms", sa.BigInteger(), nullable=True),
        sa.Column("created_at_ms", sa.BigInteger(), nullable=False),
        sa.Column("failing_since_ms", sa.BigInteger(), nullable=True),
        sa.Column("failures", sa.Integer(), server_default="0", nullable=False),
        sa.Column("disabled_reason", sa.String(length=16), nullable=True),
        sa.Column("deleted_at_ms", sa.BigInteger(), nullable=True),
        sa.CheckConstraint("disabled_reason IN ('failing', 'gone')", name=op.f("ck_webhooks_disabled_reason_known")),
        sa.CheckConstraint("payload_version IN ('envelope', 'flat')", name=op.f("ck_webhooks_payload_version_known")),
        sa.ForeignKeyConstraint(["organization_id"], ["organizations.id"], name=op.f("fk_webhooks_organizations")),
        sa.PrimaryKeyConstraint("organization_id", "id", name=op.f("pk_webhooks")),
        **_OPTIONS,
    )
    op.create_table(
        "blocked_messages",
        sa.Column("organization_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("customer_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("business_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("created_at_ms", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["organization_id", "customer_id"],
            ["customers.organization_id", "customers.id"],
            name=op.f("fk_blocked_messages_customers"),
        ),
        sa.PrimaryKeyConstraint("organization_id", "id", name=op.f("pk_blocked_messages")),
        **_OPTIONS,
    )
    op.create_index(
        op.f("ix_blocked_messages_customer_id_organization_id"),
        "blocked_messages",
        ["customer_id", "organization_id"],
        unique=False,
    )
    op.create_table(
        "customer_merges",
        sa.Column("organization_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("kept_customer_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("merged_customer_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("filled_fields", sa.Text(), nullable=False),
        sa.Column("created_at_ms", sa.BigInteger(), nullable=False),
        sa.Column("undone_at_ms", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(
            ["organization_id", "kept_customer_id"],
            ["customers.organization_id", "customers.id"],
            name="fk_customer_merges_kept_customer",
        ),
        sa.ForeignKeyConstraint(
            ["organization_id", "merged_customer_id"],
            ["customers.organization_id", "customers.id"],
            name="fk_customer_merges_merged_customer",
        ),
        sa.PrimaryKeyConstraint("organization_id", "id", name=op.f("pk_customer_merges")),
        **_OPTIONS,
    )
    op.create_index(
        op.f("ix_customer_merges_organization_id_merged_customer_id"),
        "customer_merges",
        ["organization_id", "merged_customer_id"],
        unique=False,
    )
    op.create_table(
        "webhook_subscriptions",
        sa.Column("organization_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("topic", sa.String(length=16), nullable=False),
        sa.Column("webhook_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.CheckConstraint("topic IN ('messages', 'transfers')", name=op.f("ck_webhook_subscriptions_topic_known")),
        sa.ForeignKeyConstraint(
            ["organization_id", "webhook_id"],
            ["webhooks.organization_id", "webhooks.id"],
            name=op.f("fk_webhook_subscriptions_webhooks"),
        ),
        sa.PrimaryKeyConstraint("organization_id", "topic", "webhook_id", name=op.f("pk_webhook_subscriptions")),
        **_OPTIONS,
    )
    op.create_table(
        "assignments",
        sa.Column("organization_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("thread_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("employee_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("assigned_at_ms", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["organization_id", "employee_id"],
            ["employees.organization_id", "employees.id"],
            name=op.f("fk_assignments_employees"),
        ),
        sa.ForeignKeyConstraint(
            ["organization_id", "thread_id"],
            ["threads.organization_id", "threads.id"],
            name=op.f("fk_assignments_threads"),
        ),
        sa.PrimaryKeyConstraint("organization_id", "thread_id", name=op.f("pk_assignments")),
        **_OPTIONS,
    )
    op.create_index(
        op.f("ix_assignments_organization_id_employee_id"),
        "assignments",
        ["organization_id", "employee_id"],
        unique=False,
    )
    op.add_column("customer_identities", sa.Column("merge_id", sa.BigInteger(), nullable=True))
    op.add_column("customers", sa.Column("blocked_at_ms", sa.BigInteger(), nullable=True))
    op.add_column("customers", sa.Column("erased_at_ms", sa.BigInteger(), nullable=True))
    op.add_column("customers", sa.Column("merged_into_id", sa.BigInteger(), nullable=True))
    op.create_index(
        "ix_customers_merged_into",
        "customers",
        ["organization_id", "merged_into_id"],
        unique=False,
        sqlite_where=sa.text("merged_into_id IS NOT NULL"),
        postgresql_where=sa.text("merged_into_id IS NOT NULL"),
    )
    op.add_column("messages", sa.Column("employee_id", sa.BigInteger(), nullable=True))
    op.add_column("messages", sa.Column("attachment_id", sa.BigInteger(), nullable=True))
    op.add_column("messages", sa.Column("content_sid", sa.Text(), nullable=True))
    op.add_column("messages", sa.Column("external_id", sa.Text(), nullable=True))
    op.create_index(
        "ix_messages_attachment",
        "messages",
        ["organization_id", "attachment_id"],
        unique=False,
        sqlite_where=sa.text("attachment_id IS NOT NULL"),
        postgresql_where=sa.text("attachment_id IS NOT NULL"),
    )
    op.add_column("organizations", sa.Column("keep_messages_days", sa.Integer(), nullable=True))
    op.add_column("organizations", sa.Column("keep_events_days", sa.Integer(), nullable=True))
    op.add_column("threads", sa.Column("last_reply_sequence", sa.Integer(), server_default="0", nullable=False))
    op.add_column("threads", sa.Column("last_reply_author_id", sa.BigInteger(), nullable=True))
    op.add_column("threads", sa.Column("last_other_reply_sequence", sa.Integer(), server_default="0", nullable=False))
    op.add_column("threads", sa.Column("last_customer_message_at_ms", sa.BigInteger(), nullable=True))
    op.add_column("threads", sa.Column("merge_id", sa.BigInteger(), nullable=True))
    op.create_index(
        op.f("ix_threads_organization_id_business_id_id"),
        "threads",
        ["organization_id", "business_id", "id"],
        unique=False,
    )
    op.create_index(
        op.f("ix_threads_status_organization_id_id"), "threads", ["status", "organization_id", "id"], unique=False
    )
    _fill_threads()
    _number_events()


def _fill_threads() -> None:
    op.execute(
        """
        UPDATE threads SET last_customer_message_at_ms = (
            SELECT max(created_at_ms) FROM messages
            WHERE messages.organization_id = threads.organization_id AND messages.thread_id = threads.id
              AND from_customer)
        """
    )


def _number_events() -> None:
    """Make the table anew: an event is known by its place in its organization's feed, and no longer by an id."""
    op.rename_table("events", "events_before")
    if op.get_context().dialect.name == "postgresql":  # where the names of keys are those of relations
        op.execute("ALTER INDEX pk_events RENAME TO pk_events_before")
    op.create_table(
        "events",
        sa.Column("organization_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("position", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("type", sa.String(length=32), nullable=False),
        sa.Column("business_id", sa.BigInteger(), nullable=True),
        sa.Column("customer_id", sa.BigInteger(), nullable=True),
        sa.Column("thread_id", sa.BigInteger(), nullable=True),
        sa.Column("thread_sequence", sa.Integer(), nullable=True),
        sa.Column("message_id", sa.BigInteger(), nullable=True),
        sa.Column("details", sa.Text(), nullable=True),
        sa.Column("created_at_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("organization_id", "position", name=op.f("pk_events")),
        **_OPTIONS,
    )
    op.execute(
        """
        INSERT INTO events (organization_id, position, type, business_id, customer_id, thread_id, thread_sequence,
                            message_id, created_at_ms)
        SELECT old.organization_id, row_number() OVER (PARTITION BY old.organization_id ORDER BY old.id), old.type,
               old.business_id, old.customer_id, old.thread_id, messages.sequence, old.message_id, old.created_at_ms
        FROM events_before AS old
        LEFT JOIN messages ON messages.organization_id = old.organization_id AND messages.id = old.message_id
        """
    )
    op.execute(
        """
        INSERT INTO feeds (organization_id, last_position)
        SELECT organization_id, max(position) FROM events GROUP BY organization_id
        """
    )
    op.drop_table("events_before")
