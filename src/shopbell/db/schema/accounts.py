"""Tables of employees' access: roles, credentials, sessions and invitations."""

from sqlalchemy import BigInteger, Column, Index, PrimaryKeyConstraint, String, UniqueConstraint

from shopbell.db.schema.columns import foreign_key, id_, ms, one_of, table, text_

ROLES = ("owner", "manager", "member")
SESSION_STAGES = ("code", "enrol", "full")

organization_roles = table(
    "organization_roles",
    id_("organization_id"),
    id_("employee_id"),
    Column("role", String(16), nullable=False),
    PrimaryKeyConstraint("organization_id", "employee_id"),
    foreign_key("employees", "employee_id"),
    one_of("role", ROLES),
)
"""The role of an employee in all businesses of the organization."""

business_roles = table(
    "business_roles",
    id_("organization_id"),
    id_("employee_id"),
    id_("business_id"),
    Column("role", String(16), nullable=False),
    PrimaryKeyConstraint("organization_id", "employee_id", "business_id"),
    foreign_key("employees", "employee_id"),
    foreign_key("businesses", "business_id"),
    one_of("role", ROLES),
)
"""The role of an employee in one business. It adds to the role in the organization."""

passwords = table(
    "passwords",
    id_("organization_id"),
    id_("employee_id"),
    text_("hash"),
    ms("changed_at_ms"),
    PrimaryKeyConstraint("organization_id", "employee_id"),
    foreign_key("employees", "employee_id"),
)
"""``hash``: Argon2id in PHC string format."""

passkeys = table(
    "passkeys",
    id_("organization_id"),
    id_("id"),
    id_("employee_id"),
    text_("credential_id"),
    text_("public_key"),
    Column("sign_count", BigInteger, nullable=False),
    text_("name"),
    ms("created_at_ms"),
    ms("last_used_at_ms", nullable=True),
    PrimaryKeyConstraint("organization_id", "id"),
    UniqueConstraint("credential_id"),
    foreign_key("employees", "employee_id"),
    Index(None, "organization_id", "employee_id"),
)
"""``credential_id`` and ``public_key``: base64url without padding. ``sign_count``: as of the last use."""

passkey_challenges = table(
    "passkey_challenges",
    Column("challenge_hash", String(64), nullable=False),
    ms("expires_at_ms"),
    PrimaryKeyConstraint("challenge_hash"),
    Index(None, "expires_at_ms"),
)
"""Challenges that a browser was given and has not used; of no organization: it is not known yet who signs in."""

totp_secrets = table(
    "totp_secrets",
    id_("organization_id"),
    id_("employee_id"),
    text_("sealed_secret"),
    Column("last_step", BigInteger, nullable=False),
    ms("confirmed_at_ms", nullable=True),
    PrimaryKeyConstraint("organization_id", "employee_id"),
    foreign_key("employees", "employee_id"),
)
"""``last_step``: the time step of the last code that was accepted. Not confirmed: the employee has yet to enter a
code."""

recovery_codes = table(
    "recovery_codes",
    id_("organization_id"),
    id_("employee_id"),
    Column("code_hash", String(64), nullable=False),
    ms("used_at_ms", nullable=True),
    PrimaryKeyConstraint("organization_id", "employee_id", "code_hash"),
    foreign_key("employees", "employee_id"),
)
"""Each code replaces the second factor once."""

employee_sessions = table(
    "employee_sessions",
    id_("organization_id"),
    id_("id"),
    id_("employee_id"),
    Column("token_hash", String(64), nullable=False),
    Column("stage", String(8), nullable=False),
    ms("created_at_ms"),
    ms("seen_at_ms"),
    ms("factor_at_ms"),
    text_("agent"),
    PrimaryKeyConstraint("organization_id", "id"),
    UniqueConstraint("token_hash"),
    foreign_key("employees", "employee_id"),
    one_of("stage", SESSION_STAGES),
    Index(None, "organization_id", "employee_id"),
    Index(None, "seen_at_ms"),
)
"""``stage``: ``code`` waits for the second factor, ``enrol`` for the employee to set one up, ``full`` may do what the
roles allow. ``factor_at_ms``: when a factor was last given. ``agent``: the browser and system, for the list of
devices."""

invitations = table(
    "invitations",
    id_("organization_id"),
    id_("id"),
    id_("employee_id"),
    text_("email"),
    Column("token_hash", String(64), nullable=False),
    ms("created_at_ms"),
    ms("expires_at_ms"),
    ms("used_at_ms", nullable=True),
    PrimaryKeyConstraint("organization_id", "id"),
    UniqueConstraint("token_hash"),
    foreign_key("employees", "employee_id"),
    Index(None, "organization_id", "employee_id"),
)
"""Single-use links with which employees set a password. ``email``: the address that was invited. If the employee gets
another one, the link works no more: the old address may have been wrong."""

oidc_identities = table(
    "oidc_identities",
    id_("organization_id"),
    id_("id"),
    id_("employee_id"),
    text_("issuer"),
    text_("subject"),
    text_("email", nullable=True),
    ms("created_at_ms"),
    ms("last_used_at_ms", nullable=True),
    PrimaryKeyConstraint("organization_id", "id"),
    UniqueConstraint("issuer", "subject"),
    UniqueConstraint("organization_id", "employee_id", "issuer"),
    foreign_key("employees", "employee_id"),
)
"""Accounts at OpenID Connect providers with which employees sign in. ``issuer`` and ``subject`` identify the account;
employees recognize it by its ``email``."""
