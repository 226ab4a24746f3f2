"""The first tables: organizations, customers, threads, messages, events, and what guards them."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_OPTIONS = {"sqlite_with_rowid": False}


def upgrade() -> None:
    """Make them."""
    # The counter that all ids come from: a sequence where there is one, a row where there is a single writer.
    first = 12344
    if op.get_context().dialect.name == "postgresql":
        op.execute(f"CREATE SEQUENCE ids START {first}")
    else:
        op.execute("CREATE TABLE ids (next_id BIGINT NOT NULL)")
        op.execute(f"INSERT INTO ids VALUES ({first})")
    op.create_table(
        "events",
        sa.Column("organization_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("type", sa.String(length=32), nullable=False),
        sa.Column("business_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("customer_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("thread_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("message_id", sa.BigInteger(), nullable=True),
        sa.Column("created_at_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("organization_id", "id", name=op.f("pk_events")),
        **_OPTIONS,
    )
    op.create_table(
        "installation",
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_installation")),
        **_OPTIONS,
    )
    op.create_table(
        "organizations",
        sa.Column("id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("created_at_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_organizations")),
        **_OPTIONS,
    )
    op.create_table(
        "api_tokens",
        sa.Column("organization_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("token_hash", sa.String(length=64), nullable=False),
        sa.Column("hint", sa.String(length=4), nullable=False),
        sa.Column("scopes", sa.Text(), nullable=False),
        sa.Column("created_at_ms", sa.BigInteger(), nullable=False),
        sa.Column("last_used_at_ms", sa.BigInteger(), nullable=True),
        sa.Column("expires_at_ms", sa.BigInteger(), nullable=True),
        sa.Column("revoked_at_ms", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["organization_id"], ["organizations.id"], name=op.f("fk_api_tokens_organizations")),
        sa.PrimaryKeyConstraint("organization_id", "id", name=op.f("pk_api_tokens")),
        sa.UniqueConstraint("token_hash", name=op.f("uq_api_tokens_token_hash")),
        **_OPTIONS,
    )
    op.create_table(
        "audit_entries",
        sa.Column("organization_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("at_ms", sa.BigInteger(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("action", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["organization_id"], ["organizations.id"], name=op.f("fk_audit_entries_organizations")),
        sa.PrimaryKeyConstraint("organization_id", "id", name=op.f("pk_audit_entries")),
        **_OPTIONS,
    )
    op.create_table(
        "businesses",
        sa.Column("organization_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("locale", sa.Text(), nullable=False),
        sa.Column("default_region", sa.Text(), nullable=True),
        sa.Column("time_zone", sa.Text(), nullable=False),
        sa.Column("email", sa.Text(), nullable=True),
        sa.Column("phone_number", sa.Text(), nullable=True),
        sa.Column("voice_forward_number", sa.Text(), nullable=True),
        sa.Column("created_at_ms", sa.BigInteger(), nullable=False),
        sa.Column("deactivated_at_ms", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["organization_id"], ["organizations.id"], name=op.f("fk_businesses_organizations")),
        sa.PrimaryKeyConstraint("organization_id", "id", name=op.f("pk_businesses")),
        **_OPTIONS,
    )
    op.create_table(
        "customers",
        sa.Column("organization_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("locale", sa.Text(), nullable=True),
        sa.Column("first_name", sa.Text(), nullable=True),
        sa.Column("last_name", sa.Text(), nullable=True),
        sa.Column("company", sa.Text(), nullable=True),
        sa.Column("created_at_ms", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["organization_id"], ["organizations.id"], name=op.f("fk_customers_organizations")),
        sa.PrimaryKeyConstraint("organization_id", "id", name=op.f("pk_customers")),
        **_OPTIONS,
    )
    op.create_table(
        "customer_identities",
        sa.Column("organization_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.Column("customer_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("shown", sa.Text(), nullable=False),
        sa.Column("created_at_ms", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("kind IN ('email', 'phone')", name=op.f("ck_customer_identities_kind_known")),
        sa.ForeignKeyConstraint(
            ["organization_id", "customer_id"],
            ["customers.organization_id", "customers.id"],
            name=op.f("fk_customer_identities_customers"),
        ),
        sa.PrimaryKeyConstraint("organization_id", "kind", "value", name=op.f("pk_customer_identities")),
        **_OPTIONS,
    )
    op.create_index(
        op.f("ix_customer_identities_customer_id_organization_id"),
        "customer_identities",
        ["customer_id", "organization_id"],
        unique=False,
    )
    op.create_table(
        "idempotency_keys",
        sa.Column("organization_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("token_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("route", sa.String(length=64), nullable=False),
        sa.Column("key", sa.String(length=255), nullable=False),
        sa.Column("body_hash", sa.String(length=64), nullable=False),
        sa.Column("result_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("created_at_ms", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["organization_id", "token_id"],
            ["api_tokens.organization_id", "api_tokens.id"],
            name=op.f("fk_idempotency_keys_api_tokens"),
        ),
        sa.PrimaryKeyConstraint("organization_id", "token_id", "route", "key", name=op.f("pk_idempotency_keys")),
        **_OPTIONS,
    )
    op.create_index(op.f("ix_idempotency_keys_created_at_ms"), "idempotency_keys", ["created_at_ms"], unique=False)
    op.create_table(
        "possible_duplicates",
        sa.Column("organization_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("customer_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("other_customer_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("found_at_ms", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("customer_id < other_customer_id", name=op.f("ck_possible_duplicates_ordered")),
        sa.ForeignKeyConstraint(
            ["organization_id", "customer_id"],
            ["customers.organization_id", "customers.id"],
            name="fk_possible_duplicates_customer",
        ),
        sa.ForeignKeyConstraint(
            ["organization_id", "other_customer_id"],
            ["customers.organization_id", "customers.id"],
            name="fk_possible_duplicates_other_customer",
        ),
        sa.PrimaryKeyConstraint(
            "organization_id", "customer_id", "other_customer_id", name=op.f("pk_possible_duplicates")
        ),
        **_OPTIONS,
    )
    op.create_index(
        op.f("ix_possible_duplicates_organization_id_other_customer_id"),
        "possible_duplicates",
        ["organization_id", "other_customer_id"],
        unique=False,
    )
    op.create_table(
        "threads",
        sa.Column("organization_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("customer_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("business_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("channel", sa.String(length=16), nullable=False),
        sa.Column("status", sa.String(length=16), nullable=False),
        sa.Column("last_sequence", sa.Integer(), nullable=False),
        sa.Column("created_at_ms", sa.BigInteger(), nullable=False),
        sa.Column("updated_at_ms", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("channel IN ('WEB', 'EMAIL', 'SMS', 'WHATSAPP')", name=op.f("ck_threads_channel_known")),
        sa.CheckConstraint("status IN ('waiting', 'replied', 'resolved')", name=op.f("ck_threads_status_known")),
        sa.ForeignKeyConstraint(
            ["organization_id", "business_id"],
            ["businesses.organization_id", "businesses.id"],
            name=op.f("fk_threads_businesses"),
        ),
        sa.ForeignKeyConstraint(
            ["organization_id", "customer_id"],
            ["customers.organization_id", "customers.id"],
            name=op.f("fk_threads_customers"),
        ),
        sa.PrimaryKeyConstraint("organization_id", "id", name=op.f("pk_threads")),
        sa.UniqueConstraint(
            "organization_id",
            "customer_id",
            "business_id",
            name=op.f("uq_threads_organization_id_customer_id_business_id"),
        ),
        postgresql_with={"fillfactor": 80},
        **_OPTIONS,
    )
    op.create_table(
        "messages",
        sa.Column("organization_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("thread_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("sequence", sa.Integer(), nullable=False),
        sa.Column("id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("from_customer", sa.Boolean(), nullable=False),
        sa.Column("internal", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("created_at_ms", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("sequence > 0", name=op.f("ck_messages_sequence_positive")),
        sa.ForeignKeyConstraint(
            ["organization_id", "thread_id"],
            ["threads.organization_id", "threads.id"],
            name=op.f("fk_messages_threads"),
        ),
        sa.PrimaryKeyConstraint("organization_id", "thread_id", "sequence", name=op.f("pk_messages")),
        sa.UniqueConstraint("organization_id", "id", name=op.f("uq_messages_organization_id_id")),
        **_OPTIONS,
    )
