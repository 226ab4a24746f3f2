CREATE TABLE notification_cursors (
    organization_id BIGINT NOT NULL,
    position BIGINT NOT NULL,
    CONSTRAINT pk_notification_cursors PRIMARY KEY (organization_id),
    CONSTRAINT fk_notification_cursors_organizations FOREIGN KEY(organization_id) REFERENCES organizations (id)
);

CREATE TABLE opt_outs (
    organization_id BIGINT NOT NULL,
    channel VARCHAR(16) NOT NULL,
    address_hash VARCHAR(64) NOT NULL,
    at_ms BIGINT NOT NULL,
    CONSTRAINT pk_opt_outs PRIMARY KEY (organization_id, channel, address_hash),
    CONSTRAINT fk_opt_outs_organizations FOREIGN KEY(organization_id) REFERENCES organizations (id)
);

CREATE TABLE private_keys (
    organization_id BIGINT NOT NULL,
    sealed_key TEXT NOT NULL,
    created_at_ms BIGINT NOT NULL,
    CONSTRAINT pk_private_keys PRIMARY KEY (organization_id),
    CONSTRAINT fk_private_keys_organizations FOREIGN KEY(organization_id) REFERENCES organizations (id)
);

CREATE TABLE publishable_keys (
    organization_id BIGINT NOT NULL,
    id BIGINT NOT NULL,
    key VARCHAR(64) NOT NULL,
    business_id BIGINT,
    origins TEXT NOT NULL,
    created_at_ms BIGINT NOT NULL,
    revoked_at_ms BIGINT,
    CONSTRAINT pk_publishable_keys PRIMARY KEY (organization_id, id),
    CONSTRAINT uq_publishable_keys_key UNIQUE (key),
    CONSTRAINT fk_publishable_keys_organizations FOREIGN KEY(organization_id) REFERENCES organizations (id)
);

CREATE TABLE sms_usage (
    organization_id BIGINT NOT NULL,
    day INTEGER NOT NULL,
    segments INTEGER NOT NULL,
    CONSTRAINT pk_sms_usage PRIMARY KEY (organization_id, day),
    CONSTRAINT fk_sms_usage_organizations FOREIGN KEY(organization_id) REFERENCES organizations (id)
);

CREATE TABLE throttles (
    organization_id BIGINT NOT NULL,
    address_hash VARCHAR(64) NOT NULL,
    last_at_ms BIGINT NOT NULL,
    CONSTRAINT pk_throttles PRIMARY KEY (organization_id, address_hash),
    CONSTRAINT fk_throttles_organizations FOREIGN KEY(organization_id) REFERENCES organizations (id)
);
CREATE INDEX ix_throttles_last_at_ms ON throttles (last_at_ms);

CREATE TABLE upload_usage (
    organization_id BIGINT NOT NULL,
    day INTEGER NOT NULL,
    kind VARCHAR(16) NOT NULL,
    subject VARCHAR(64) NOT NULL,
    used_bytes BIGINT NOT NULL,
    CONSTRAINT pk_upload_usage PRIMARY KEY (organization_id, day, kind, subject),
    CONSTRAINT fk_upload_usage_organizations FOREIGN KEY(organization_id) REFERENCES organizations (id),
    CONSTRAINT ck_upload_usage_kind_known CHECK (kind IN ('organization', 'customers', 'address', 'session'))
);
CREATE INDEX ix_upload_usage_day ON upload_usage (day);

CREATE TABLE used_nonces (
    organization_id BIGINT NOT NULL,
    nonce_hash VARCHAR(64) NOT NULL,
    used_at_ms BIGINT NOT NULL,
    CONSTRAINT pk_used_nonces PRIMARY KEY (organization_id, nonce_hash),
    CONSTRAINT fk_used_nonces_organizations FOREIGN KEY(organization_id) REFERENCES organizations (id)
);

CREATE TABLE customer_sessions (
    organization_id BIGINT NOT NULL,
    id BIGINT NOT NULL,
    kind VARCHAR(8) NOT NULL,
    customer_id BIGINT NOT NULL,
    business_id BIGINT,
    thread_id BIGINT,
    token_hash VARCHAR(64) NOT NULL,
    verified BOOLEAN DEFAULT false NOT NULL,
    email TEXT,
    phone TEXT,
    locale TEXT,
    created_at_ms BIGINT NOT NULL,
    expires_at_ms BIGINT NOT NULL,
    revoked_at_ms BIGINT,
    CONSTRAINT pk_customer_sessions PRIMARY KEY (organization_id, id),
    CONSTRAINT uq_customer_sessions_token_hash UNIQUE (token_hash),
    CONSTRAINT fk_customer_sessions_customers FOREIGN KEY(organization_id, customer_id)
        REFERENCES customers (organization_id, id),
    CONSTRAINT ck_customer_sessions_kind_known CHECK (kind IN ('widget', 'page', 'app'))
);
CREATE INDEX ix_customer_sessions_customer_id_organization_id ON customer_sessions (customer_id, organization_id);
CREATE INDEX ix_customer_sessions_expires_at_ms ON customer_sessions (expires_at_ms);

CREATE TABLE external_identities (
    organization_id BIGINT NOT NULL,
    subject TEXT NOT NULL,
    customer_id BIGINT NOT NULL,
    created_at_ms BIGINT NOT NULL,
    CONSTRAINT pk_external_identities PRIMARY KEY (organization_id, subject),
    CONSTRAINT fk_external_identities_customers FOREIGN KEY(organization_id, customer_id)
        REFERENCES customers (organization_id, id)
);
CREATE INDEX ix_external_identities_customer_id_organization_id ON external_identities (customer_id, organization_id);

CREATE TABLE customer_links (
    organization_id BIGINT NOT NULL,
    id BIGINT NOT NULL,
    thread_id BIGINT NOT NULL,
    channel VARCHAR(16) NOT NULL,
    address TEXT,
    token_hash VARCHAR(64) NOT NULL,
    created_at_ms BIGINT NOT NULL,
    expires_at_ms BIGINT NOT NULL,
    spent_at_ms BIGINT,
    CONSTRAINT pk_customer_links PRIMARY KEY (organization_id, id),
    CONSTRAINT uq_customer_links_token_hash UNIQUE (token_hash),
    CONSTRAINT fk_customer_links_threads FOREIGN KEY(organization_id, thread_id)
        REFERENCES threads (organization_id, id)
);
CREATE INDEX ix_customer_links_expires_at_ms ON customer_links (expires_at_ms);
CREATE INDEX ix_customer_links_thread_id_organization_id ON customer_links (thread_id, organization_id);

CREATE TABLE mail_details (
    organization_id BIGINT NOT NULL,
    message_id BIGINT NOT NULL,
    thread_id BIGINT NOT NULL,
    sender TEXT,
    sender_name TEXT,
    subject TEXT,
    full_text TEXT,
    spf VARCHAR(16),
    dkim VARCHAR(16),
    dmarc VARCHAR(16),
    foreign_sender BOOLEAN DEFAULT false NOT NULL,
    automatic BOOLEAN DEFAULT false NOT NULL,
    CONSTRAINT pk_mail_details PRIMARY KEY (organization_id, message_id),
    CONSTRAINT fk_mail_details_threads FOREIGN KEY(organization_id, thread_id) REFERENCES threads (organization_id, id)
);
CREATE INDEX ix_mail_details_thread_id_organization_id ON mail_details (thread_id, organization_id);

CREATE TABLE message_deliveries (
    organization_id BIGINT NOT NULL,
    message_id BIGINT NOT NULL,
    channel VARCHAR(16) NOT NULL,
    audience VARCHAR(8) NOT NULL,
    thread_id BIGINT NOT NULL,
    sequence INTEGER NOT NULL,
    outbound_message_id BIGINT,
    state VARCHAR(16) NOT NULL,
    reason VARCHAR(64),
    updated_at_ms BIGINT NOT NULL,
    CONSTRAINT pk_message_deliveries PRIMARY KEY (organization_id, message_id, channel, audience),
    CONSTRAINT fk_message_deliveries_threads FOREIGN KEY(organization_id, thread_id)
        REFERENCES threads (organization_id, id),
    CONSTRAINT ck_message_deliveries_channel_known CHECK (channel IN ('WEB', 'EMAIL', 'SMS', 'WHATSAPP')),
    CONSTRAINT ck_message_deliveries_audience_known CHECK (audience IN ('customer', 'store')),
    CONSTRAINT ck_message_deliveries_state_known CHECK (state IN ('queued', 'sent', 'delivered', 'read', 'failed'))
);
CREATE INDEX ix_message_deliveries_outbound_message_id_organization_id
    ON message_deliveries (outbound_message_id, organization_id);
CREATE INDEX ix_message_deliveries_thread_id_sequence_organization_id
    ON message_deliveries (thread_id, sequence, organization_id);

CREATE TABLE notification_state (
    organization_id BIGINT NOT NULL,
    thread_id BIGINT NOT NULL,
    invited_at_ms BIGINT,
    store_notified_sequence INTEGER,
    auto_replied_period BIGINT,
    mail_subject TEXT,
    mail_header_id TEXT,
    CONSTRAINT pk_notification_state PRIMARY KEY (organization_id, thread_id),
    CONSTRAINT fk_notification_state_threads FOREIGN KEY(organization_id, thread_id)
        REFERENCES threads (organization_id, id)
);

CREATE TABLE outbound_messages (
    organization_id BIGINT NOT NULL,
    id BIGINT NOT NULL,
    thread_id BIGINT NOT NULL,
    channel VARCHAR(16) NOT NULL,
    audience VARCHAR(8) NOT NULL,
    purpose VARCHAR(16) NOT NULL,
    address TEXT,
    first_sequence INTEGER,
    last_sequence INTEGER,
    survey_id BIGINT,
    state VARCHAR(16) NOT NULL,
    reason VARCHAR(64),
    attempts INTEGER DEFAULT '0' NOT NULL,
    due_at_ms BIGINT NOT NULL,
    segments INTEGER,
    provider_id TEXT,
    created_at_ms BIGINT NOT NULL,
    settled_at_ms BIGINT,
    CONSTRAINT pk_outbound_messages PRIMARY KEY (organization_id, id),
    CONSTRAINT fk_outbound_messages_threads FOREIGN KEY(organization_id, thread_id)
        REFERENCES threads (organization_id, id),
    CONSTRAINT ck_outbound_messages_channel_known CHECK (channel IN ('WEB', 'EMAIL', 'SMS', 'WHATSAPP')),
    CONSTRAINT ck_outbound_messages_audience_known CHECK (audience IN ('customer', 'store')),
    CONSTRAINT ck_outbound_messages_purpose_known
        CHECK (purpose IN ('reply', 'invitation', 'link', 'welcome', 'auto-reply', 'survey', 'store-notice')),
    CONSTRAINT ck_outbound_messages_state_known
        CHECK (state IN ('waiting', 'sent', 'delivered', 'read', 'failed', 'unknown', 'skipped'))
);
CREATE INDEX ix_outbound_messages_due ON outbound_messages (due_at_ms) WHERE state = 'waiting';
CREATE INDEX ix_outbound_messages_provider ON outbound_messages (provider_id) WHERE provider_id IS NOT NULL;
CREATE INDEX ix_outbound_messages_texted ON outbound_messages (address) WHERE channel IN ('SMS', 'WHATSAPP');
CREATE INDEX ix_outbound_messages_thread_id_organization_id_id ON outbound_messages (thread_id, organization_id, id);

CREATE TABLE surveys (
    organization_id BIGINT NOT NULL,
    id BIGINT NOT NULL,
    thread_id BIGINT NOT NULL,
    customer_id BIGINT NOT NULL,
    kind VARCHAR(8) NOT NULL,
    asked_at_ms BIGINT NOT NULL,
    answered_at_ms BIGINT,
    score INTEGER,
    comment TEXT,
    CONSTRAINT pk_surveys PRIMARY KEY (organization_id, id),
    CONSTRAINT fk_surveys_threads FOREIGN KEY(organization_id, thread_id) REFERENCES threads (organization_id, id),
    CONSTRAINT fk_surveys_customers FOREIGN KEY(organization_id, customer_id)
        REFERENCES customers (organization_id, id),
    CONSTRAINT ck_surveys_kind_known CHECK (kind IN ('nps', 'csat'))
);
CREATE INDEX ix_surveys_customer_id_organization_id ON surveys (customer_id, organization_id);
CREATE INDEX ix_surveys_thread_id_organization_id ON surveys (thread_id, organization_id);

CREATE TABLE thread_reads (
    organization_id BIGINT NOT NULL,
    thread_id BIGINT NOT NULL,
    customer_sequence INTEGER DEFAULT '0' NOT NULL,
    customer_at_ms BIGINT,
    store_sequence INTEGER DEFAULT '0' NOT NULL,
    store_at_ms BIGINT,
    CONSTRAINT pk_thread_reads PRIMARY KEY (organization_id, thread_id),
    CONSTRAINT fk_thread_reads_threads FOREIGN KEY(organization_id, thread_id) REFERENCES threads (organization_id, id)
);
