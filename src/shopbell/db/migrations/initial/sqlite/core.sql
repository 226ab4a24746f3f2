CREATE TABLE installation (
    name VARCHAR(64) NOT NULL,
    value TEXT NOT NULL,
    CONSTRAINT pk_installation PRIMARY KEY (name)
) WITHOUT ROWID;

CREATE TABLE organizations (
    id BIGINT NOT NULL,
    name TEXT NOT NULL,
    created_at_ms BIGINT NOT NULL,
    keep_messages_days INTEGER,
    keep_events_days INTEGER,
    requires_second_factor BOOLEAN DEFAULT 0 NOT NULL,
    CONSTRAINT pk_organizations PRIMARY KEY (id)
) WITHOUT ROWID;

CREATE TABLE api_tokens (
    organization_id BIGINT NOT NULL,
    id BIGINT NOT NULL,
    name TEXT NOT NULL,
    token_hash VARCHAR(64) NOT NULL,
    hint VARCHAR(4) NOT NULL,
    scopes TEXT NOT NULL,
    created_at_ms BIGINT NOT NULL,
    last_used_at_ms BIGINT,
    expires_at_ms BIGINT,
    revoked_at_ms BIGINT,
    CONSTRAINT pk_api_tokens PRIMARY KEY (organization_id, id),
    CONSTRAINT uq_api_tokens_token_hash UNIQUE (token_hash),
    CONSTRAINT fk_api_tokens_organizations FOREIGN KEY(organization_id) REFERENCES organizations (id)
) WITHOUT ROWID;

CREATE TABLE attachments (
    organization_id BIGINT NOT NULL,
    id BIGINT NOT NULL,
    uuid VARCHAR(36) NOT NULL,
    name TEXT NOT NULL,
    content_type TEXT NOT NULL,
    length_bytes BIGINT NOT NULL,
    sha256 VARCHAR(64) NOT NULL,
    created_at_ms BIGINT NOT NULL,
    absent_since_ms BIGINT,
    uploader_id BIGINT,
    CONSTRAINT pk_attachments PRIMARY KEY (organization_id, id),
    CONSTRAINT uq_attachments_uuid UNIQUE (uuid),
    CONSTRAINT fk_attachments_organizations FOREIGN KEY(organization_id) REFERENCES organizations (id)
) WITHOUT ROWID;
CREATE INDEX ix_attachments_organization_id_created_at_ms ON attachments (organization_id, created_at_ms);

CREATE TABLE audit_entries (
    organization_id BIGINT NOT NULL,
    id BIGINT NOT NULL,
    at_ms BIGINT NOT NULL,
    actor TEXT NOT NULL,
    action TEXT NOT NULL,
    subject TEXT NOT NULL,
    CONSTRAINT pk_audit_entries PRIMARY KEY (organization_id, id),
    CONSTRAINT fk_audit_entries_organizations FOREIGN KEY(organization_id) REFERENCES organizations (id)
) WITHOUT ROWID;

CREATE TABLE businesses (
    organization_id BIGINT NOT NULL,
    id BIGINT NOT NULL,
    name TEXT NOT NULL,
    locale TEXT NOT NULL,
    default_region TEXT,
    time_zone TEXT NOT NULL,
    email TEXT,
    phone_number TEXT,
    voice_forward_number TEXT,
    created_at_ms BIGINT NOT NULL,
    deactivated_at_ms BIGINT,
    invites_customers BOOLEAN DEFAULT 1 NOT NULL,
    tells_store BOOLEAN DEFAULT 1 NOT NULL,
    auto_replies BOOLEAN DEFAULT 1 NOT NULL,
    opening_hours TEXT,
    survey VARCHAR(8),
    brand_color VARCHAR(7),
    CONSTRAINT pk_businesses PRIMARY KEY (organization_id, id),
    CONSTRAINT fk_businesses_organizations FOREIGN KEY(organization_id) REFERENCES organizations (id)
) WITHOUT ROWID;

CREATE TABLE customers (
    organization_id BIGINT NOT NULL,
    id BIGINT NOT NULL,
    locale TEXT,
    first_name TEXT,
    last_name TEXT,
    company TEXT,
    unverified_email TEXT,
    unverified_phone TEXT,
    created_at_ms BIGINT NOT NULL,
    blocked_at_ms BIGINT,
    erased_at_ms BIGINT,
    merged_into_id BIGINT,
    CONSTRAINT pk_customers PRIMARY KEY (organization_id, id),
    CONSTRAINT fk_customers_organizations FOREIGN KEY(organization_id) REFERENCES organizations (id)
) WITHOUT ROWID;
CREATE INDEX ix_customers_merged_into ON customers (organization_id, merged_into_id) WHERE merged_into_id IS NOT NULL;

CREATE TABLE employees (
    organization_id BIGINT NOT NULL,
    id BIGINT NOT NULL,
    name TEXT NOT NULL,
    email TEXT,
    created_at_ms BIGINT NOT NULL,
    deactivated_at_ms BIGINT,
    CONSTRAINT pk_employees PRIMARY KEY (organization_id, id),
    CONSTRAINT fk_employees_organizations FOREIGN KEY(organization_id) REFERENCES organizations (id)
) WITHOUT ROWID;
CREATE UNIQUE INDEX ix_employees_active_email ON employees (organization_id, email) WHERE deactivated_at_ms IS NULL;
CREATE INDEX ix_employees_email_organization_id ON employees (email, organization_id);

CREATE TABLE idempotency_keys (
    organization_id BIGINT NOT NULL,
    caller_id BIGINT NOT NULL,
    route VARCHAR(64) NOT NULL,
    "key" VARCHAR(255) NOT NULL,
    body_hash VARCHAR(64) NOT NULL,
    result_id BIGINT NOT NULL,
    created_at_ms BIGINT NOT NULL,
    CONSTRAINT pk_idempotency_keys PRIMARY KEY (organization_id, caller_id, route, "key"),
    CONSTRAINT fk_idempotency_keys_organizations FOREIGN KEY(organization_id) REFERENCES organizations (id)
) WITHOUT ROWID;
CREATE INDEX ix_idempotency_keys_created_at_ms ON idempotency_keys (created_at_ms);

CREATE TABLE templates (
    organization_id BIGINT NOT NULL,
    id BIGINT NOT NULL,
    title TEXT NOT NULL,
    text TEXT NOT NULL,
    content_sid VARCHAR(64) NOT NULL,
    created_at_ms BIGINT NOT NULL,
    CONSTRAINT pk_templates PRIMARY KEY (organization_id, id),
    CONSTRAINT uq_templates_organization_id_content_sid UNIQUE (organization_id, content_sid),
    CONSTRAINT fk_templates_organizations FOREIGN KEY(organization_id) REFERENCES organizations (id)
) WITHOUT ROWID;

CREATE TABLE blocked_messages (
    organization_id BIGINT NOT NULL,
    id BIGINT NOT NULL,
    customer_id BIGINT NOT NULL,
    business_id BIGINT NOT NULL,
    body TEXT NOT NULL,
    created_at_ms BIGINT NOT NULL,
    external_id TEXT,
    CONSTRAINT pk_blocked_messages PRIMARY KEY (organization_id, id),
    CONSTRAINT fk_blocked_messages_customers FOREIGN KEY(organization_id, customer_id)
        REFERENCES customers (organization_id, id)
) WITHOUT ROWID;
CREATE INDEX ix_blocked_messages_customer_id_organization_id ON blocked_messages (customer_id, organization_id);
CREATE INDEX ix_blocked_messages_external ON blocked_messages (organization_id, customer_id, external_id)
    WHERE external_id IS NOT NULL;

CREATE TABLE customer_identities (
    organization_id BIGINT NOT NULL,
    kind VARCHAR(16) NOT NULL,
    value TEXT NOT NULL,
    customer_id BIGINT NOT NULL,
    shown TEXT NOT NULL,
    created_at_ms BIGINT NOT NULL,
    merge_id BIGINT,
    CONSTRAINT pk_customer_identities PRIMARY KEY (organization_id, kind, value),
    CONSTRAINT fk_customer_identities_customers FOREIGN KEY(organization_id, customer_id)
        REFERENCES customers (organization_id, id),
    CONSTRAINT ck_customer_identities_kind_known CHECK (kind IN ('email', 'phone'))
) WITHOUT ROWID;
CREATE INDEX ix_customer_identities_customer_id_organization_id ON customer_identities (customer_id, organization_id);

CREATE TABLE customer_merges (
    organization_id BIGINT NOT NULL,
    id BIGINT NOT NULL,
    kept_customer_id BIGINT NOT NULL,
    merged_customer_id BIGINT NOT NULL,
    filled_fields TEXT NOT NULL,
    created_at_ms BIGINT NOT NULL,
    undone_at_ms BIGINT,
    CONSTRAINT pk_customer_merges PRIMARY KEY (organization_id, id),
    CONSTRAINT fk_customer_merges_kept_customer FOREIGN KEY(organization_id, kept_customer_id)
        REFERENCES customers (organization_id, id),
    CONSTRAINT fk_customer_merges_merged_customer FOREIGN KEY(organization_id, merged_customer_id)
        REFERENCES customers (organization_id, id)
) WITHOUT ROWID;
CREATE INDEX ix_customer_merges_organization_id_merged_customer_id
    ON customer_merges (organization_id, merged_customer_id);

CREATE TABLE possible_duplicates (
    organization_id BIGINT NOT NULL,
    customer_id BIGINT NOT NULL,
    other_customer_id BIGINT NOT NULL,
    found_at_ms BIGINT NOT NULL,
    CONSTRAINT pk_possible_duplicates PRIMARY KEY (organization_id, customer_id, other_customer_id),
    CONSTRAINT fk_possible_duplicates_customer FOREIGN KEY(organization_id, customer_id)
        REFERENCES customers (organization_id, id),
    CONSTRAINT fk_possible_duplicates_other_customer FOREIGN KEY(organization_id, other_customer_id)
        REFERENCES customers (organization_id, id),
    CONSTRAINT ck_possible_duplicates_ordered CHECK (customer_id < other_customer_id)
) WITHOUT ROWID;
CREATE INDEX ix_possible_duplicates_organization_id_other_customer_id
    ON possible_duplicates (organization_id, other_customer_id);

CREATE TABLE threads (
    organization_id BIGINT NOT NULL,
    id BIGINT NOT NULL,
    customer_id BIGINT NOT NULL,
    business_id BIGINT NOT NULL,
    channel VARCHAR(16) NOT NULL,
    status VARCHAR(16) NOT NULL,
    last_sequence INTEGER NOT NULL,
    created_at_ms BIGINT NOT NULL,
    updated_at_ms BIGINT NOT NULL,
    last_reply_sequence INTEGER DEFAULT '0' NOT NULL,
    last_reply_author_id BIGINT,
    last_other_reply_sequence INTEGER DEFAULT '0' NOT NULL,
    last_customer_message_at_ms BIGINT,
    merge_id BIGINT,
    last_email TEXT,
    last_phone TEXT,
    CONSTRAINT pk_threads PRIMARY KEY (organization_id, id),
    CONSTRAINT uq_threads_organization_id_customer_id_business_id UNIQUE (organization_id, customer_id, business_id),
    CONSTRAINT fk_threads_customers FOREIGN KEY(organization_id, customer_id)
        REFERENCES customers (organization_id, id),
    CONSTRAINT fk_threads_businesses FOREIGN KEY(organization_id, business_id)
        REFERENCES businesses (organization_id, id),
    CONSTRAINT ck_threads_status_known CHECK (status IN ('waiting', 'replied', 'resolved')),
    CONSTRAINT ck_threads_channel_known CHECK (channel IN ('WEB', 'EMAIL', 'SMS', 'WHATSAPP'))
) WITHOUT ROWID;
CREATE INDEX ix_threads_organization_id_business_id_id ON threads (organization_id, business_id, id);
CREATE INDEX ix_threads_status_organization_id_id ON threads (status, organization_id, id);

CREATE TABLE assignments (
    organization_id BIGINT NOT NULL,
    thread_id BIGINT NOT NULL,
    employee_id BIGINT NOT NULL,
    assigned_at_ms BIGINT NOT NULL,
    CONSTRAINT pk_assignments PRIMARY KEY (organization_id, thread_id),
    CONSTRAINT fk_assignments_threads FOREIGN KEY(organization_id, thread_id) REFERENCES threads (organization_id, id),
    CONSTRAINT fk_assignments_employees FOREIGN KEY(organization_id, employee_id)
        REFERENCES employees (organization_id, id)
) WITHOUT ROWID;
CREATE INDEX ix_assignments_organization_id_employee_id ON assignments (organization_id, employee_id);

CREATE TABLE messages (
    organization_id BIGINT NOT NULL,
    thread_id BIGINT NOT NULL,
    sequence INTEGER NOT NULL,
    id BIGINT NOT NULL,
    from_customer BOOLEAN NOT NULL,
    internal BOOLEAN DEFAULT 0 NOT NULL,
    body TEXT NOT NULL,
    created_at_ms BIGINT NOT NULL,
    employee_id BIGINT,
    attachment_id BIGINT,
    content_sid TEXT,
    external_id TEXT,
    channel VARCHAR(16),
    CONSTRAINT pk_messages PRIMARY KEY (organization_id, id),
    CONSTRAINT uq_messages_organization_id_thread_id_sequence UNIQUE (organization_id, thread_id, sequence),
    CONSTRAINT fk_messages_threads FOREIGN KEY(organization_id, thread_id) REFERENCES threads (organization_id, id),
    CONSTRAINT ck_messages_sequence_positive CHECK (sequence > 0)
) WITHOUT ROWID;
CREATE INDEX ix_messages_attachment ON messages (organization_id, attachment_id) WHERE attachment_id IS NOT NULL;
CREATE INDEX ix_messages_external ON messages (organization_id, thread_id, external_id) WHERE external_id IS NOT NULL;
