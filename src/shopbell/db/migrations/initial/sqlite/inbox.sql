CREATE TABLE inbox_threads (
    organization_id BIGINT NOT NULL,
    thread_id BIGINT NOT NULL,
    business_id BIGINT NOT NULL,
    customer_id BIGINT NOT NULL,
    customer_name TEXT,
    channel VARCHAR(16) NOT NULL,
    status VARCHAR(16) NOT NULL,
    assignee_id BIGINT,
    waiting_since_ms BIGINT,
    snoozed_until_ms BIGINT,
    last_at_ms BIGINT NOT NULL,
    last_hour INTEGER NOT NULL,
    last_sequence INTEGER NOT NULL,
    last_customer_sequence INTEGER NOT NULL,
    last_author VARCHAR(8) NOT NULL,
    last_author_id BIGINT,
    preview TEXT NOT NULL,
    settled_sequence INTEGER NOT NULL,
    answered_sequence INTEGER NOT NULL,
    rank BIGINT NOT NULL,
    position BIGINT NOT NULL,
    CONSTRAINT pk_inbox_threads PRIMARY KEY (organization_id, thread_id),
    CONSTRAINT ck_inbox_threads_last_author_known CHECK (last_author IN ('customer', 'employee', 'program'))
) WITHOUT ROWID;
CREATE INDEX ix_inbox_threads_assignee ON inbox_threads (assignee_id, organization_id, rank, thread_id, business_id);
CREATE INDEX ix_inbox_threads_business ON inbox_threads (business_id, organization_id, rank, thread_id);
CREATE INDEX ix_inbox_threads_rank ON inbox_threads (organization_id, rank, thread_id, business_id, assignee_id);
CREATE INDEX ix_inbox_threads_recent ON inbox_threads (organization_id, last_hour) WHERE status <> 'resolved';

CREATE TABLE inbox_cursors (
    organization_id BIGINT NOT NULL,
    position BIGINT NOT NULL,
    rebuilt_to_id BIGINT,
    CONSTRAINT pk_inbox_cursors PRIMARY KEY (organization_id),
    CONSTRAINT fk_inbox_cursors_organizations FOREIGN KEY(organization_id) REFERENCES organizations (id)
) WITHOUT ROWID;

CREATE TABLE employee_reads (
    organization_id BIGINT NOT NULL,
    employee_id BIGINT NOT NULL,
    thread_id BIGINT NOT NULL,
    sequence INTEGER NOT NULL,
    marked_unread BOOLEAN DEFAULT 0 NOT NULL,
    at_ms BIGINT NOT NULL,
    CONSTRAINT pk_employee_reads PRIMARY KEY (organization_id, employee_id, thread_id),
    CONSTRAINT fk_employee_reads_employees FOREIGN KEY(organization_id, employee_id)
        REFERENCES employees (organization_id, id),
    CONSTRAINT fk_employee_reads_threads FOREIGN KEY(organization_id, thread_id)
        REFERENCES threads (organization_id, id)
) WITHOUT ROWID;
CREATE INDEX ix_employee_reads_thread_id_organization_id ON employee_reads (thread_id, organization_id);

CREATE TABLE mentions (
    organization_id BIGINT NOT NULL,
    message_id BIGINT NOT NULL,
    employee_id BIGINT NOT NULL,
    thread_id BIGINT NOT NULL,
    sequence INTEGER NOT NULL,
    at_ms BIGINT NOT NULL,
    read_at_ms BIGINT,
    CONSTRAINT pk_mentions PRIMARY KEY (organization_id, message_id, employee_id),
    CONSTRAINT fk_mentions_employees FOREIGN KEY(organization_id, employee_id)
        REFERENCES employees (organization_id, id),
    CONSTRAINT fk_mentions_threads FOREIGN KEY(organization_id, thread_id) REFERENCES threads (organization_id, id)
) WITHOUT ROWID;
CREATE INDEX ix_mentions_thread_id_organization_id ON mentions (thread_id, organization_id);
CREATE INDEX ix_mentions_unread ON mentions (employee_id, organization_id, thread_id) WHERE read_at_ms IS NULL;
