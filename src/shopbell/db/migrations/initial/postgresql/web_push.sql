CREATE TABLE push_cursors (
    organization_id BIGINT NOT NULL,
    position BIGINT NOT NULL,
    CONSTRAINT pk_push_cursors PRIMARY KEY (organization_id),
    CONSTRAINT fk_push_cursors_organizations FOREIGN KEY(organization_id) REFERENCES organizations (id)
);

CREATE TABLE push_subscriptions (
    organization_id BIGINT NOT NULL,
    id BIGINT NOT NULL,
    employee_id BIGINT NOT NULL,
    session_id BIGINT,
    endpoint_hash VARCHAR(64) NOT NULL,
    sealed_address TEXT NOT NULL,
    created_at_ms BIGINT NOT NULL,
    CONSTRAINT pk_push_subscriptions PRIMARY KEY (organization_id, id),
    CONSTRAINT fk_push_subscriptions_employees FOREIGN KEY(organization_id, employee_id)
        REFERENCES employees (organization_id, id)
);
CREATE INDEX ix_push_subscriptions_employee_id_organization_id ON push_subscriptions (employee_id, organization_id);
CREATE UNIQUE INDEX ix_push_subscriptions_endpoint ON push_subscriptions (organization_id, endpoint_hash);

CREATE TABLE pushes (
    organization_id BIGINT NOT NULL,
    subscription_id BIGINT NOT NULL,
    thread_id BIGINT NOT NULL,
    kind VARCHAR(16) NOT NULL,
    position BIGINT NOT NULL,
    sequence INTEGER,
    message_id BIGINT,
    created_at_ms BIGINT NOT NULL,
    due_at_ms BIGINT NOT NULL,
    attempts INTEGER DEFAULT '0' NOT NULL,
    CONSTRAINT pk_pushes PRIMARY KEY (organization_id, subscription_id, thread_id),
    CONSTRAINT fk_pushes_push_subscriptions FOREIGN KEY(organization_id, subscription_id)
        REFERENCES push_subscriptions (organization_id, id),
    CONSTRAINT fk_pushes_threads FOREIGN KEY(organization_id, thread_id) REFERENCES threads (organization_id, id),
    CONSTRAINT ck_pushes_kind_known CHECK (kind IN ('message', 'assigned', 'mentioned'))
);
CREATE INDEX ix_pushes_due_at_ms ON pushes (due_at_ms);
CREATE INDEX ix_pushes_thread_id_organization_id ON pushes (thread_id, organization_id);
