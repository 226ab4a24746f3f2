CREATE TABLE deliveries (
    organization_id BIGINT NOT NULL,
    webhook_id BIGINT NOT NULL,
    position BIGINT NOT NULL,
    thread_id BIGINT NOT NULL,
    state VARCHAR(16) NOT NULL,
    attempts INTEGER DEFAULT '0' NOT NULL,
    step INTEGER DEFAULT '0' NOT NULL,
    first_attempt_at_ms BIGINT,
    payload_version VARCHAR(16),
    body TEXT,
    created_at_ms BIGINT NOT NULL,
    settled_at_ms BIGINT,
    CONSTRAINT pk_deliveries PRIMARY KEY (organization_id, webhook_id, position),
    CONSTRAINT ck_deliveries_state_known CHECK (state IN ('waiting', 'delivered', 'exhausted', 'skipped'))
) WITHOUT ROWID;
CREATE INDEX ix_deliveries_failed ON deliveries (webhook_id, state, position) WHERE state IN ('exhausted', 'skipped');
CREATE INDEX ix_deliveries_unsettled ON deliveries (webhook_id, thread_id, position) WHERE state = 'waiting';
CREATE INDEX ix_deliveries_with_body ON deliveries (organization_id, thread_id, created_at_ms) WHERE body IS NOT NULL;

CREATE TABLE delivery_attempts (
    organization_id BIGINT NOT NULL,
    webhook_id BIGINT NOT NULL,
    position BIGINT NOT NULL,
    number INTEGER NOT NULL,
    at_ms BIGINT NOT NULL,
    duration_ms INTEGER NOT NULL,
    status INTEGER,
    error VARCHAR(32),
    answer TEXT,
    CONSTRAINT pk_delivery_attempts PRIMARY KEY (organization_id, webhook_id, position, number)
) WITHOUT ROWID;

CREATE TABLE delivery_queues (
    organization_id BIGINT NOT NULL,
    webhook_id BIGINT NOT NULL,
    thread_id BIGINT NOT NULL,
    background BIGINT NOT NULL,
    position BIGINT NOT NULL,
    due_at_ms BIGINT NOT NULL,
    leased_until_ms BIGINT,
    slot BIGINT,
    CONSTRAINT pk_delivery_queues PRIMARY KEY (organization_id, webhook_id, thread_id, background)
) WITHOUT ROWID;
CREATE INDEX ix_delivery_queues_leased ON delivery_queues (leased_until_ms) WHERE leased_until_ms IS NOT NULL;
CREATE INDEX ix_delivery_queues_webhook_id_due_at_ms ON delivery_queues (webhook_id, due_at_ms);

CREATE TABLE events (
    organization_id BIGINT NOT NULL,
    position BIGINT NOT NULL,
    type VARCHAR(32) NOT NULL,
    business_id BIGINT,
    customer_id BIGINT,
    thread_id BIGINT,
    thread_sequence INTEGER,
    message_id BIGINT,
    details TEXT,
    created_at_ms BIGINT NOT NULL,
    actor_type VARCHAR(8),
    actor_id BIGINT,
    CONSTRAINT pk_events PRIMARY KEY (organization_id, position)
) WITHOUT ROWID;
CREATE INDEX ix_events_of_thread ON events (thread_id, organization_id, position) WHERE message_id IS NULL;

CREATE TABLE feeds (
    organization_id BIGINT NOT NULL,
    last_position BIGINT NOT NULL,
    customer_changes BIGINT DEFAULT '0' NOT NULL,
    CONSTRAINT pk_feeds PRIMARY KEY (organization_id),
    CONSTRAINT fk_feeds_organizations FOREIGN KEY(organization_id) REFERENCES organizations (id)
) WITHOUT ROWID;

CREATE TABLE webhooks (
    organization_id BIGINT NOT NULL,
    id BIGINT NOT NULL,
    url TEXT NOT NULL,
    enabled BOOLEAN NOT NULL,
    topics TEXT NOT NULL,
    payload_version VARCHAR(16) NOT NULL,
    sealed_extra_headers TEXT,
    sealed_secret TEXT NOT NULL,
    sealed_old_secret TEXT,
    old_secret_expires_at_ms BIGINT,
    created_at_ms BIGINT NOT NULL,
    failing_since_ms BIGINT,
    failures INTEGER DEFAULT '0' NOT NULL,
    disabled_reason VARCHAR(16),
    deleted_at_ms BIGINT,
    is_push BOOLEAN DEFAULT 0 NOT NULL,
    CONSTRAINT pk_webhooks PRIMARY KEY (organization_id, id),
    CONSTRAINT fk_webhooks_organizations FOREIGN KEY(organization_id) REFERENCES organizations (id),
    CONSTRAINT ck_webhooks_payload_version_known CHECK (payload_version IN ('envelope', 'flat')),
    CONSTRAINT ck_webhooks_disabled_reason_known CHECK (disabled_reason IN ('failing', 'gone'))
) WITHOUT ROWID;

CREATE TABLE webhook_subscriptions (
    organization_id BIGINT NOT NULL,
    topic VARCHAR(16) NOT NULL,
    webhook_id BIGINT NOT NULL,
    CONSTRAINT pk_webhook_subscriptions PRIMARY KEY (organization_id, topic, webhook_id),
    CONSTRAINT fk_webhook_subscriptions_webhooks FOREIGN KEY(organization_id, webhook_id)
        REFERENCES webhooks (organization_id, id),
    CONSTRAINT ck_webhook_subscriptions_topic_known CHECK (topic IN ('messages', 'transfers', 'deliveries'))
) WITHOUT ROWID;
