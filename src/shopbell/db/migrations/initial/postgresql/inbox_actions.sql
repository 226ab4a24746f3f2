CREATE TABLE actions (
    organization_id BIGINT NOT NULL,
    id BIGINT NOT NULL,
    caller_id BIGINT NOT NULL,
    employee_id BIGINT,
    type VARCHAR(16) NOT NULL,
    details TEXT NOT NULL,
    reverses_id BIGINT,
    created_at_ms BIGINT NOT NULL,
    CONSTRAINT pk_actions PRIMARY KEY (organization_id, id),
    CONSTRAINT fk_actions_organizations FOREIGN KEY(organization_id) REFERENCES organizations (id)
);
CREATE INDEX ix_actions_created_at_ms ON actions (created_at_ms);
CREATE INDEX ix_actions_reverses ON actions (organization_id, reverses_id) WHERE reverses_id IS NOT NULL;

CREATE TABLE action_items (
    organization_id BIGINT NOT NULL,
    action_id BIGINT NOT NULL,
    thread_id BIGINT NOT NULL,
    before TEXT NOT NULL,
    after TEXT NOT NULL,
    CONSTRAINT pk_action_items PRIMARY KEY (organization_id, action_id, thread_id),
    CONSTRAINT fk_action_items_actions FOREIGN KEY(organization_id, action_id) REFERENCES actions (organization_id, id),
    CONSTRAINT fk_action_items_threads FOREIGN KEY(organization_id, thread_id) REFERENCES threads (organization_id, id)
);
CREATE INDEX ix_action_items_thread_id_organization_id ON action_items (thread_id, organization_id);

CREATE TABLE scheduled_messages (
    organization_id BIGINT NOT NULL,
    id BIGINT NOT NULL,
    thread_id BIGINT NOT NULL,
    caller_id BIGINT NOT NULL,
    employee_id BIGINT,
    body TEXT NOT NULL,
    content_sid TEXT,
    attachment_id BIGINT,
    channel VARCHAR(16),
    last_seen_message_id BIGINT,
    resolves BOOLEAN DEFAULT false NOT NULL,
    created_at_ms BIGINT NOT NULL,
    send_at_ms BIGINT NOT NULL,
    state VARCHAR(16) NOT NULL,
    reason VARCHAR(32),
    message_id BIGINT,
    settled_at_ms BIGINT,
    CONSTRAINT pk_scheduled_messages PRIMARY KEY (organization_id, id),
    CONSTRAINT fk_scheduled_messages_threads FOREIGN KEY(organization_id, thread_id)
        REFERENCES threads (organization_id, id),
    CONSTRAINT ck_scheduled_messages_state_known CHECK (state IN ('scheduled', 'sent', 'cancelled', 'refused')),
    CONSTRAINT ck_scheduled_messages_channel_known CHECK (channel IN ('WEB', 'EMAIL', 'SMS', 'WHATSAPP'))
);
CREATE INDEX ix_scheduled_messages_attachment ON scheduled_messages (organization_id, attachment_id)
    WHERE attachment_id IS NOT NULL;
CREATE INDEX ix_scheduled_messages_due ON scheduled_messages (send_at_ms) WHERE state = 'scheduled';
CREATE INDEX ix_scheduled_messages_organization_id_thread_id ON scheduled_messages (organization_id, thread_id);
CREATE INDEX ix_scheduled_messages_settled ON scheduled_messages (settled_at_ms) WHERE settled_at_ms IS NOT NULL;
