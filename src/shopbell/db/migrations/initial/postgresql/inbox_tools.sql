CREATE TABLE tags (
    organization_id BIGINT NOT NULL,
    id BIGINT NOT NULL,
    name TEXT NOT NULL,
    name_key TEXT NOT NULL,
    color VARCHAR(7),
    created_at_ms BIGINT NOT NULL,
    CONSTRAINT pk_tags PRIMARY KEY (organization_id, id),
    CONSTRAINT uq_tags_organization_id_name_key UNIQUE (organization_id, name_key),
    CONSTRAINT fk_tags_organizations FOREIGN KEY(organization_id) REFERENCES organizations (id)
);

CREATE TABLE saved_replies (
    organization_id BIGINT NOT NULL,
    id BIGINT NOT NULL,
    business_id BIGINT,
    shortcut VARCHAR(32) NOT NULL,
    title TEXT NOT NULL,
    body TEXT NOT NULL,
    created_at_ms BIGINT NOT NULL,
    updated_at_ms BIGINT NOT NULL,
    CONSTRAINT pk_saved_replies PRIMARY KEY (organization_id, id),
    CONSTRAINT uq_saved_replies_organization_id_business_id_shortcut UNIQUE (organization_id, business_id, shortcut),
    CONSTRAINT fk_saved_replies_organizations FOREIGN KEY(organization_id) REFERENCES organizations (id),
    CONSTRAINT fk_saved_replies_businesses FOREIGN KEY(organization_id, business_id)
        REFERENCES businesses (organization_id, id)
);
CREATE UNIQUE INDEX ix_saved_replies_general ON saved_replies (organization_id, shortcut) WHERE business_id IS NULL;

CREATE TABLE saved_views (
    organization_id BIGINT NOT NULL,
    id BIGINT NOT NULL,
    employee_id BIGINT,
    name TEXT NOT NULL,
    query TEXT NOT NULL,
    shared BOOLEAN NOT NULL,
    created_at_ms BIGINT NOT NULL,
    updated_at_ms BIGINT NOT NULL,
    CONSTRAINT pk_saved_views PRIMARY KEY (organization_id, id),
    CONSTRAINT fk_saved_views_organizations FOREIGN KEY(organization_id) REFERENCES organizations (id),
    CONSTRAINT fk_saved_views_employees FOREIGN KEY(organization_id, employee_id)
        REFERENCES employees (organization_id, id),
    CONSTRAINT ck_saved_views_private_to_employee CHECK (employee_id IS NOT NULL OR shared)
);

CREATE TABLE drafts (
    organization_id BIGINT NOT NULL,
    id BIGINT NOT NULL,
    thread_id BIGINT NOT NULL,
    employee_id BIGINT,
    mode VARCHAR(8) NOT NULL,
    body TEXT NOT NULL,
    by_program BOOLEAN DEFAULT false NOT NULL,
    updated_at_ms BIGINT NOT NULL,
    CONSTRAINT pk_drafts PRIMARY KEY (organization_id, id),
    CONSTRAINT uq_drafts_organization_id_thread_id_mode_employee_id
        UNIQUE (organization_id, thread_id, mode, employee_id),
    CONSTRAINT fk_drafts_threads FOREIGN KEY(organization_id, thread_id) REFERENCES threads (organization_id, id),
    CONSTRAINT fk_drafts_employees FOREIGN KEY(organization_id, employee_id) REFERENCES employees (organization_id, id),
    CONSTRAINT ck_drafts_mode_known CHECK (mode IN ('reply', 'note')),
    CONSTRAINT ck_drafts_suggested_by_program CHECK (employee_id IS NOT NULL OR by_program)
);
CREATE INDEX ix_drafts_employee_id_organization_id ON drafts (employee_id, organization_id);
CREATE UNIQUE INDEX ix_drafts_suggested ON drafts (organization_id, thread_id, mode) WHERE employee_id IS NULL;
CREATE INDEX ix_drafts_thread_id_organization_id ON drafts (thread_id, organization_id);

CREATE TABLE saved_reply_attachments (
    organization_id BIGINT NOT NULL,
    saved_reply_id BIGINT NOT NULL,
    place INTEGER NOT NULL,
    attachment_id BIGINT NOT NULL,
    CONSTRAINT pk_saved_reply_attachments PRIMARY KEY (organization_id, saved_reply_id, place),
    CONSTRAINT fk_saved_reply_attachments_saved_replies FOREIGN KEY(organization_id, saved_reply_id)
        REFERENCES saved_replies (organization_id, id),
    CONSTRAINT fk_saved_reply_attachments_attachments FOREIGN KEY(organization_id, attachment_id)
        REFERENCES attachments (organization_id, id)
);
CREATE INDEX ix_saved_reply_attachments_attachment_id_organization_id
    ON saved_reply_attachments (attachment_id, organization_id);

CREATE TABLE snoozes (
    organization_id BIGINT NOT NULL,
    thread_id BIGINT NOT NULL,
    until_ms BIGINT NOT NULL,
    keep BOOLEAN NOT NULL,
    employee_id BIGINT,
    business_id BIGINT NOT NULL,
    last_sequence INTEGER NOT NULL,
    created_at_ms BIGINT NOT NULL,
    CONSTRAINT pk_snoozes PRIMARY KEY (organization_id, thread_id),
    CONSTRAINT fk_snoozes_threads FOREIGN KEY(organization_id, thread_id) REFERENCES threads (organization_id, id),
    CONSTRAINT fk_snoozes_employees FOREIGN KEY(organization_id, employee_id) REFERENCES employees (organization_id, id)
);
CREATE INDEX ix_snoozes_until_ms ON snoozes (until_ms);

CREATE TABLE thread_tags (
    organization_id BIGINT NOT NULL,
    thread_id BIGINT NOT NULL,
    tag_id BIGINT NOT NULL,
    CONSTRAINT pk_thread_tags PRIMARY KEY (organization_id, thread_id, tag_id),
    CONSTRAINT fk_thread_tags_threads FOREIGN KEY(organization_id, thread_id) REFERENCES threads (organization_id, id),
    CONSTRAINT fk_thread_tags_tags FOREIGN KEY(organization_id, tag_id) REFERENCES tags (organization_id, id)
);
CREATE INDEX ix_thread_tags_tag_id_organization_id_thread_id ON thread_tags (tag_id, organization_id, thread_id);

CREATE TABLE draft_attachments (
    organization_id BIGINT NOT NULL,
    draft_id BIGINT NOT NULL,
    place INTEGER NOT NULL,
    attachment_id BIGINT NOT NULL,
    CONSTRAINT pk_draft_attachments PRIMARY KEY (organization_id, draft_id, place),
    CONSTRAINT fk_draft_attachments_drafts FOREIGN KEY(organization_id, draft_id)
        REFERENCES drafts (organization_id, id),
    CONSTRAINT fk_draft_attachments_attachments FOREIGN KEY(organization_id, attachment_id)
        REFERENCES attachments (organization_id, id)
);
CREATE INDEX ix_draft_attachments_attachment_id_organization_id ON draft_attachments (attachment_id, organization_id);
