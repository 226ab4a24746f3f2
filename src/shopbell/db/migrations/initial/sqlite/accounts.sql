CREATE TABLE passkey_challenges (
    challenge_hash VARCHAR(64) NOT NULL,
    expires_at_ms BIGINT NOT NULL,
    CONSTRAINT pk_passkey_challenges PRIMARY KEY (challenge_hash)
) WITHOUT ROWID;
CREATE INDEX ix_passkey_challenges_expires_at_ms ON passkey_challenges (expires_at_ms);

CREATE TABLE business_roles (
    organization_id BIGINT NOT NULL,
    employee_id BIGINT NOT NULL,
    business_id BIGINT NOT NULL,
    role VARCHAR(16) NOT NULL,
    CONSTRAINT pk_business_roles PRIMARY KEY (organization_id, employee_id, business_id),
    CONSTRAINT fk_business_roles_employees FOREIGN KEY(organization_id, employee_id)
        REFERENCES employees (organization_id, id),
    CONSTRAINT fk_business_roles_businesses FOREIGN KEY(organization_id, business_id)
        REFERENCES businesses (organization_id, id),
    CONSTRAINT ck_business_roles_role_known CHECK (role IN ('owner', 'manager', 'member'))
) WITHOUT ROWID;

CREATE TABLE employee_sessions (
    organization_id BIGINT NOT NULL,
    id BIGINT NOT NULL,
    employee_id BIGINT NOT NULL,
    token_hash VARCHAR(64) NOT NULL,
    stage VARCHAR(8) NOT NULL,
    created_at_ms BIGINT NOT NULL,
    seen_at_ms BIGINT NOT NULL,
    factor_at_ms BIGINT NOT NULL,
    agent TEXT NOT NULL,
    CONSTRAINT pk_employee_sessions PRIMARY KEY (organization_id, id),
    CONSTRAINT uq_employee_sessions_token_hash UNIQUE (token_hash),
    CONSTRAINT fk_employee_sessions_employees FOREIGN KEY(organization_id, employee_id)
        REFERENCES employees (organization_id, id),
    CONSTRAINT ck_employee_sessions_stage_known CHECK (stage IN ('code', 'enrol', 'full'))
) WITHOUT ROWID;
CREATE INDEX ix_employee_sessions_organization_id_employee_id ON employee_sessions (organization_id, employee_id);
CREATE INDEX ix_employee_sessions_seen_at_ms ON employee_sessions (seen_at_ms);

CREATE TABLE invitations (
    organization_id BIGINT NOT NULL,
    id BIGINT NOT NULL,
    employee_id BIGINT NOT NULL,
    email TEXT NOT NULL,
    token_hash VARCHAR(64) NOT NULL,
    created_at_ms BIGINT NOT NULL,
    expires_at_ms BIGINT NOT NULL,
    used_at_ms BIGINT,
    CONSTRAINT pk_invitations PRIMARY KEY (organization_id, id),
    CONSTRAINT uq_invitations_token_hash UNIQUE (token_hash),
    CONSTRAINT fk_invitations_employees FOREIGN KEY(organization_id, employee_id)
        REFERENCES employees (organization_id, id)
) WITHOUT ROWID;
CREATE INDEX ix_invitations_organization_id_employee_id ON invitations (organization_id, employee_id);

CREATE TABLE oidc_identities (
    organization_id BIGINT NOT NULL,
    id BIGINT NOT NULL,
    employee_id BIGINT NOT NULL,
    issuer TEXT NOT NULL,
    subject TEXT NOT NULL,
    email TEXT,
    created_at_ms BIGINT NOT NULL,
    last_used_at_ms BIGINT,
    CONSTRAINT pk_oidc_identities PRIMARY KEY (organization_id, id),
    CONSTRAINT uq_oidc_identities_issuer_subject UNIQUE (issuer, subject),
    CONSTRAINT uq_oidc_identities_organization_id_employee_id_issuer UNIQUE (organization_id, employee_id, issuer),
    CONSTRAINT fk_oidc_identities_employees FOREIGN KEY(organization_id, employee_id)
        REFERENCES employees (organization_id, id)
) WITHOUT ROWID;

CREATE TABLE organization_roles (
    organization_id BIGINT NOT NULL,
    employee_id BIGINT NOT NULL,
    role VARCHAR(16) NOT NULL,
    CONSTRAINT pk_organization_roles PRIMARY KEY (organization_id, employee_id),
    CONSTRAINT fk_organization_roles_employees FOREIGN KEY(organization_id, employee_id)
        REFERENCES employees (organization_id, id),
    CONSTRAINT ck_organization_roles_role_known CHECK (role IN ('owner', 'manager', 'member'))
) WITHOUT ROWID;

CREATE TABLE passkeys (
    organization_id BIGINT NOT NULL,
    id BIGINT NOT NULL,
    employee_id BIGINT NOT NULL,
    credential_id TEXT NOT NULL,
    public_key TEXT NOT NULL,
    sign_count BIGINT NOT NULL,
    name TEXT NOT NULL,
    created_at_ms BIGINT NOT NULL,
    last_used_at_ms BIGINT,
    CONSTRAINT pk_passkeys PRIMARY KEY (organization_id, id),
    CONSTRAINT uq_passkeys_credential_id UNIQUE (credential_id),
    CONSTRAINT fk_passkeys_employees FOREIGN KEY(organization_id, employee_id)
        REFERENCES employees (organization_id, id)
) WITHOUT ROWID;
CREATE INDEX ix_passkeys_organization_id_employee_id ON passkeys (organization_id, employee_id);

CREATE TABLE passwords (
    organization_id BIGINT NOT NULL,
    employee_id BIGINT NOT NULL,
    hash TEXT NOT NULL,
    changed_at_ms BIGINT NOT NULL,
    CONSTRAINT pk_passwords PRIMARY KEY (organization_id, employee_id),
    CONSTRAINT fk_passwords_employees FOREIGN KEY(organization_id, employee_id)
        REFERENCES employees (organization_id, id)
) WITHOUT ROWID;

CREATE TABLE recovery_codes (
    organization_id BIGINT NOT NULL,
    employee_id BIGINT NOT NULL,
    code_hash VARCHAR(64) NOT NULL,
    used_at_ms BIGINT,
    CONSTRAINT pk_recovery_codes PRIMARY KEY (organization_id, employee_id, code_hash),
    CONSTRAINT fk_recovery_codes_employees FOREIGN KEY(organization_id, employee_id)
        REFERENCES employees (organization_id, id)
) WITHOUT ROWID;

CREATE TABLE totp_secrets (
    organization_id BIGINT NOT NULL,
    employee_id BIGINT NOT NULL,
    sealed_secret TEXT NOT NULL,
    last_step BIGINT NOT NULL,
    confirmed_at_ms BIGINT,
    CONSTRAINT pk_totp_secrets PRIMARY KEY (organization_id, employee_id),
    CONSTRAINT fk_totp_secrets_employees FOREIGN KEY(organization_id, employee_id)
        REFERENCES employees (organization_id, id)
) WITHOUT ROWID;
