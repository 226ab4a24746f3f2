"""What the customer's side needs: sessions and links, what is sent to whom, and what came of it."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_OPTIONS = {"sqlite_with_rowid": False}


def upgrade() -> None:
    """Make them; what is there stays."""
    op.create_table(
        "opt_outs",
        sa.Column("organization_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("channel", sa.String(length=16), nullable=False),
        sa.Column("address_hash", sa.String(length=64), nullable=False),
        sa.Column("at_ms", sa.BigInteger(), nullable=False),
        _of_organization("opt_outs"),
        sa.PrimaryKeyConstraint("organization_id", "channel", "address_hash", name=op.f("pk_opt_outs")),
        **_OPTIONS,
    )
    op.create_table(
        "outreach_cursors",
        sa.Column("organization_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=False),
        _of_organization("outreach_cursors"),
        sa.PrimaryKeyConstraint("organization_id", name=op.f("pk_outreach_cursors")),
        **_OPTIONS,
    )
    op.create_table(
        "private_keys",
        sa.Column("organization_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("sealed_key", sa.Text(), nullable=False),
        sa.Column("created_at_ms", sa.BigInteger(), nullable=False),
        _of_organization("private_keys"),
        sa.PrimaryKeyConstraint("organization_id", name=op.f("pk_private_keys")),
        **_OPTIONS,
    )
    op.create_table(
        "publishable_keys",
        sa.Column("organization_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("key", sa.String(length=64), nullable=False),
        sa.Column("business_id", sa.BigInteger(), nullable=True),
        sa.Column("origins", sa.Text(), nullable=False),
        sa.Column("created_at_ms", sa.BigInteger(), nullable=False),
        sa.Column("revoked_at_ms", sa.BigInteger(), nullable=True),
        _of_organization("publishable_keys"),
        sa.PrimaryKeyConstraint("organization_id", "id", name=op.f("pk_publishable_keys")),
        sa.UniqueConstraint("key", name=op.f("uq_publishable_keys_key")),
        **_OPTIONS,
    )
    op.create_table(
        "text_counts",
        sa.Column("organization_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("day", sa.Integer(), nullable=False),
        sa.Column("segments", sa.Integer(), nullable=False),
        _of_organization("text_counts"),
        sa.PrimaryKeyConstraint("organization_id", "day", name=op.f("pk_text_counts")),
        **_OPTIONS,
    )
    op.create_table(
        "text_recipients",
        sa.Column("organization_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("address_hash", sa.String(length=64), nullable=False),
        sa.Column("last_at_ms", sa.BigInteger(), nullable=False),
        _of_organization("text_recipients"),
        sa.PrimaryKeyConstraint("organization_id", "address_hash", name=op.f("pk_text_recipients")),
        **_OPTIONS,
    )
    op.create_index(op.f("ix_text_recipients_last_at_ms"), "text_recipients", ["last_at_ms"], unique=False)
    op.create_table(
        "used_nonces",
        sa.Column("organization_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("nonce_hash", sa.String(length=64), nullable=False),
        sa.Column("used_at_ms", sa.BigInteger(), nullable=False),
        _of_organization("used_nonces"),
        sa.PrimaryKeyConstraint("organization_id", "nonce_hash", name=op.f("pk_used_nonces")),
        **_OPTIONS,
    )
    op.create_table(
        "customer_sessions",
        sa.Column("organization_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("kind", sa.String(length=8), nullable=False),
        sa.Column("customer_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("business_id", sa.BigInteger(), nullable=True),
        sa.Column("thread_id", sa.BigInteger(), nullable=True),
        sa.Column("token_hash", sa.String(length=64), nullable=False),
        sa.Column("verified", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("locale", sa.Text(), nullable=True),
        sa.Column("created_at_ms", sa.BigInteger(), nullable=False),
        sa.Column("expires_at_ms", sa.BigInteger(), nullable=False),
        sa.Column("revoked_at_ms", sa.BigInteger(), nullable=True),
        sa.CheckConstraint("kind IN ('widget', 'page', 'app')", name=op.f("ck_customer_sessions_kind_known")),
        sa.ForeignKeyConstraint(
            ["organization_id", "customer_id"],
            ["customers.organization_id", "customers.id"],
            name=op.f("fk_customer_sessions_customers"),
        ),
        sa.PrimaryKeyConstraint("organization_id", "id", name=op.f("pk_customer_sessions")),
        sa.UniqueConstraint("token_hash", name=op.f("uq_customer_sessions_token_hash")),
        **_OPTIONS,
    )
    op.create_index(
        op.f("ix_customer_sessions_customer_id_organization_id"),
        "customer_sessions",
        ["customer_id", "organization_id"],
        unique=False,
    )
    op.create_index(op.f("ix_customer_sessions_expires_at_ms"), "customer_sessions", ["expires_at_ms"], unique=False)
    op.create_table(
        "external_identities",
        sa.Column("organization_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("customer_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("created_at_ms", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["organization_id", "customer_id"],
            ["customers.organization_id", "customers.id"],
            name=op.f("fk_external_identities_customers"),
        ),
        sa.PrimaryKeyConstraint("organization_id", "subject", name=op.f("pk_external_identities")),
        **_OPTIONS,
    )
    op.create_index(
        op.f("ix_external_identities_customer_id_organization_id"),
        "external_identities",
        ["customer_id", "organization_id"],
        unique=False,
    )
    op.create_table(
        "customer_links",
        sa.Column("organization_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("thread_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("channel", sa.String(length=16), nullable=False),
        sa.Column("address", sa.Text(), nullable=True),
        sa.Column("token_hash", sa.String(length=64), nullable=False),
        sa.Column("created_at_ms", sa.BigInteger(), nullable=False),
        sa.Column("expires_at_ms", sa.BigInteger(), nullable=False),
        sa.Column("spent_at_ms", sa.BigInteger(), nullable=True),
        _of_thread("customer_links"),
        sa.PrimaryKeyConstraint("organization_id", "id", name=op.f("pk_customer_links")),
        sa.UniqueConstraint("token_hash", name=op.f("uq_customer_links_token_hash")),
        **_OPTIONS,
    )
    op.create_index(op.f("ix_customer_links_expires_at_ms"), "customer_links", ["expires_at_ms"], unique=False)
    op.create_index(
        op.f("ix_customer_links_thread_id_organization_id"),
        "customer_links",
        ["thread_id", "organization_id"],
        unique=False,
    )
    op.create_table(
        "dispatches",
        sa.Column("organization_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("thread_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("channel", sa.String(length=16), nullable=False),
        sa.Column("audience", sa.String(length=8), nullable=False),
        sa.Column("purpose", sa.String(length=16), nullable=False),
        sa.Column("address", sa.Text(), nullable=True),
        sa.Column("first_sequence", sa.Integer(), nullable=True),
        sa.Column("last_sequence", sa.Integer(), nullable=True),
        sa.Column("survey_id", sa.BigInteger(), nullable=True),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("reason", sa.String(length=64), nullable=True),
        sa.Column("attempts", sa.Integer(), server_default="0", nullable=False),
        sa.Column("due_at_ms", sa.BigInteger(), nullable=False),
        sa.Column("segments", sa.Integer(), nullable=True),
        sa.Column("provider_id", sa.Text(), nullable=True),
        sa.Column("created_at_ms", sa.BigInteger(), nullable=False),
        sa.Column("settled_at_ms", sa.BigInteger(), nullable=True),
        sa.CheckConstraint("audience IN ('customer', 'store')", name=op.f("ck_dispatches_audience_known")),
        sa.CheckConstraint("channel IN ('WEB', 'EMAIL', 'SMS', 'WHATSAPP')", name=op.f("ck_dispatches_channel_known")),
        sa.CheckConstraint(
            "purpose IN ('reply', 'invitation', 'link', 'welcome', 'auto-reply', 'survey', 'store-notice')",
            name=op.f("ck_dispatches_purpose_known"),
        ),
        sa.CheckConstraint(
            "state IN ('waiting', 'sent', 'delivered', 'read', 'failed', 'unknown', 'skipped')",
            name=op.f("ck_dispatches_state_known"),
        ),
        _of_thread("dispatches"),
        sa.PrimaryKeyConstraint("organization_id", "id", name=op.f("pk_dispatches")),
        **_OPTIONS,
    )
    op.create_index(
        "ix_dispatches_due",
        "dispatches",
        ["due_at_ms"],
        unique=False,
        sqlite_where=sa.text("state = 'waiting'"),
        postgresql_where=sa.text("state = 'waiting'"),
    )
    op.create_index(
        "ix_dispatches_provider",
        "dispatches",
        ["provider_id"],
        unique=False,
        sqlite_where=sa.text("provider_id IS NOT NULL"),
        postgresql_where=sa.text("provider_id IS NOT NULL"),
    )
    op.create_index(
        "ix_dispatches_texted",
        "dispatches",
        ["address"],
        unique=False,
        sqlite_where=sa.text("channel IN ('SMS', 'WHATSAPP')"),
        postgresql_where=sa.text("channel IN ('SMS', 'WHATSAPP')"),
    )
    op.create_index(
        op.f("ix_dispatches_thread_id_organization_id_id"),
        "dispatches",
        ["thread_id", "organization_id", "id"],
        unique=False,
    )
    op.create_table(
        "mail_details",
        sa.Column("organization_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("message_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("thread_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("sender", sa.Text(), nullable=True),
        sa.Column("sender_name", sa.Text(), nullable=True),
        sa.Column("subject", sa.Text(), nullable=True),
        sa.Column("full_text", sa.Text(), nullable=True),
        sa.Column("spf", sa.String(length=16), nullable=True),
        sa.Column("dkim", sa.String(length=16), nullable=True),
        sa.Column("dmarc", sa.String(length=16), nullable=True),
        sa.Column("foreign_sender", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("automatic", sa.Boolean(), server_default=sa.false(), nullable=False),
        _of_thread("mail_details"),
        sa.PrimaryKeyConstraint("organization_id", "message_id", name=op.f("pk_mail_details")),
        **_OPTIONS,
    )
    op.create_index(
        op.f("ix_mail_details_thread_id_organization_id"),
        "mail_details",
        ["thread_id", "organization_id"],
        unique=False,
    )
    op.create_table(
        "message_deliveries",
        sa.Column("organization_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("message_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("channel", sa.String(length=16), nullable=False),
        sa.Column("audience", sa.String(length=8), nullable=False),
        sa.Column("thread_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("sequence", sa.Integer(), nullable=False),
        sa.Column("dispatch_id", sa.BigInteger(), nullable=True),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("reason", sa.String(length=64), nullable=True),
        sa.Column("updated_at_ms", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("audience IN ('customer', 'store')", name=op.f("ck_message_deliveries_audience_known")),
        sa.CheckConstraint(
            "channel IN ('WEB', 'EMAIL', 'SMS', 'WHATSAPP')", name=op.f("ck_message_deliveries_channel_known")
        ),
        sa.CheckConstraint(
            "state IN ('queued', 'sent', 'delivered', 'read', 'failed')", name=op.f("ck_message_deliveries_state_known")
        ),
        _of_thread("message_deliveries"),
        sa.PrimaryKeyConstraint(
            "organization_id", "message_id", "channel", "audience", name=op.f("pk_message_deliveries")
        ),
        **_OPTIONS,
    )
    op.create_index(
        op.f("ix_message_deliveries_dispatch_id_organization_id"),
        "message_deliveries",
        ["dispatch_id", "organization_id"],
        unique=False,
    )
    op.create_index(
        op.f("ix_message_deliveries_thread_id_sequence_organization_id"),
        "message_deliveries",
        ["thread_id", "sequence", "organization_id"],
        unique=False,
    )
    op.create_table(
        "surveys",
        sa.Column("organization_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("thread_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("customer_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("kind", sa.String(length=8), nullable=False),
        sa.Column("asked_at_ms", sa.BigInteger(), nullable=False),
        sa.Column("answered_at_ms", sa.BigInteger(), nullable=True),
        sa.Column("score", sa.Integer(), nullable=True),
        sa.Column("comment", sa.Text(), nullable=True),
        sa.CheckConstraint("kind IN ('nps', 'csat')", name=op.f("ck_surveys_kind_known")),
        sa.ForeignKeyConstraint(
            ["organization_id", "customer_id"],
            ["customers.organization_id", "customers.id"],
            name=op.f("fk_surveys_customers"),
        ),
        sa.ForeignKeyConstraint(
            ["organization_id", "thread_id"], ["threads.organization_id", "threads.id"], name=op.f("fk_surveys_threads")
        ),
        sa.PrimaryKeyConstraint("organization_id", "id", name=op.f("pk_surveys")),
        **_OPTIONS,
    )
    op.create_index(
        op.f("ix_surveys_customer_id_organization_id"), "surveys", ["customer_id", "organization_id"], unique=False
    )
    op.create_index(
        op.f("ix_surveys_thread_id_organization_id"), "surveys", ["thread_id", "organization_id"], unique=False
    )
    op.create_table(
        "thread_outreach",
        sa.Column("organization_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("thread_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("invited_at_ms", sa.BigInteger(), nullable=True),
        sa.Column("store_told_sequence", sa.Integer(), nullable=True),
        sa.Column("auto_replied_period", sa.BigInteger(), nullable=True),
        sa.Column("mail_subject", sa.Text(), nullable=True),
        sa.Column("mail_header_id", sa.Text(), nullable=True),
        _of_thread("thread_outreach"),
        sa.PrimaryKeyConstraint("organization_id", "thread_id", name=op.f("pk_thread_outreach")),
        **_OPTIONS,
    )
    op.create_table(
        "thread_reads",
        sa.Column("organization_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("thread_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("customer_sequence", sa.Integer(), server_default="0", nullable=False),
        sa.Column("customer_at_ms", sa.BigInteger(), nullable=True),
        sa.Column("store_sequence", sa.Integer(), server_default="0", nullable=False),
        sa.Column("store_at_ms", sa.BigInteger(), nullable=True),
        _of_thread("thread_reads"),
        sa.PrimaryKeyConstraint("organization_id", "thread_id", name=op.f("pk_thread_reads")),
        **_OPTIONS,
    )
    for name in ("invites_customers", "tells_store", "auto_replies"):
        op.add_column("businesses", sa.Column(name, sa.Boolean(), server_default=sa.true(), nullable=False))
    op.add_column("businesses", sa.Column("opening_hours", sa.Text(), nullable=True))
    op.add_column("businesses", sa.Column("survey", sa.String(length=8), nullable=True))
    op.add_column("businesses", sa.Column("brand_color", sa.String(length=7), nullable=True))
    op.add_column("customers", sa.Column("unverified_email", sa.Text(), nullable=True))
    op.add_column("customers", sa.Column("unverified_phone", sa.Text(), nullable=True))
    op.add_column("messages", sa.Column("channel", sa.String(length=16), nullable=True))
    op.create_index(
        "ix_messages_external",
        "messages",
        ["organization_id", "thread_id", "external_id"],
        unique=False,
        sqlite_where=sa.text("external_id IS NOT NULL"),
        postgresql_where=sa.text("external_id IS NOT NULL"),
    )
    _let_deliveries_be_subscribed()
    # What happened before this version is not told to anybody now.
    op.execute(
        "INSERT INTO outreach_cursors (organization_id, position) SELECT organization_id, last_position FROM feeds"
    )


def _of_organization(table: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint(["organization_id"], ["organizations.id"], name=f"fk_{table}_organizations")


def _of_thread(table: str) -> sa.ForeignKeyConstraint:
    columns = ["organization_id", "thread_id"]
    return sa.ForeignKeyConstraint(columns, ["threads.organization_id", "threads.id"], name=f"fk_{table}_threads")


def _let_deliveries_be_subscribed() -> None:
    """Make the table anew: SQLite cannot change what a column takes."""
    op.rename_table("webhook_subscriptions", "subscriptions_before")
    if op.get_context().dialect.name == "postgresql":  # where the names of keys are those of relations
        op.execute("ALTER INDEX pk_webhook_subscriptions RENAME TO pk_subscriptions_before")
    op.create_table(
        "webhook_subscriptions",
        sa.Column("organization_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("topic", sa.String(length=16), nullable=False),
        sa.Column("webhook_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.CheckConstraint(
            "topic IN ('messages', 'transfers', 'deliveries')", name=op.f("ck_webhook_subscriptions_topic_known")
        ),
        sa.ForeignKeyConstraint(
            ["organization_id", "webhook_id"],
            ["webhooks.organization_id", "webhooks.id"],
            name=op.f("fk_webhook_subscriptions_webhooks"),
        ),
        sa.PrimaryKeyConstraint("organization_id", "topic", "webhook_id", name=op.f("pk_webhook_subscriptions")),
        **_OPTIONS,
    )
    op.execute(
        "INSERT INTO webhook_subscriptions (organization_id, topic, webhook_id) "
        "SELECT organization_id, topic, webhook_id FROM subscriptions_before"
    )
    op.drop_table("subscriptions_before")
