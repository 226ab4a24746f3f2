CREATE TABLE imported_conversations (
    organization_id BIGINT NOT NULL,
    source TEXT NOT NULL,
    thread_id BIGINT NOT NULL,
    first_sequence INTEGER NOT NULL,
    last_sequence INTEGER NOT NULL,
    began_at_ms BIGINT NOT NULL,
    oldest_at_ms BIGINT,
    imported_at_ms BIGINT NOT NULL,
    CONSTRAINT pk_imported_conversations PRIMARY KEY (organization_id, source),
    CONSTRAINT fk_imported_conversations_threads FOREIGN KEY(organization_id, thread_id)
        REFERENCES threads (organization_id, id)
);
CREATE INDEX ix_imported_conversations_oldest ON imported_conversations (organization_id, oldest_at_ms)
    WHERE oldest_at_ms IS NOT NULL;
CREATE INDEX ix_imported_conversations_thread_id_organization_id ON imported_conversations (thread_id, organization_id);
