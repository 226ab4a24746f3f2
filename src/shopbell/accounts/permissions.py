"""What roles and token scopes permit: the one table of permissions."""

from collections.abc import Mapping

from shopbell.organizations.api_tokens import SCOPES

PERMISSIONS: Mapping[str, str] = SCOPES
"""Every permission, with one sentence about what it allows. The scopes of tokens are the same."""

ROLES: Mapping[str, frozenset[str]] = {
    "owner": frozenset(PERMISSIONS) - {"widget:send"},
    "manager": frozenset(
        (
            *("threads:read", "threads:write", "customers:read", "customers:write"),
            *("inbox:manage", "employees:manage", "audit:read"),
        )
    ),
    "member": frozenset(("threads:read", "threads:write", "customers:read", "customers:write")),
}
"""The permissions of each role. An employee without a role cannot sign in."""
