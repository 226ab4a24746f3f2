"""``shopbell token …``."""

from typing import Annotated

import typer
from sqlalchemy import Connection

from shopbell.cli.access import ACTOR, read, secret_keys, write
from shopbell.cli.choices import OfOrganization, OnlyOrganization
from shopbell.cli.output import JSON, as_json, iso, object_id, print_facts, print_json, print_table, say
from shopbell.cli.times import unix_ms
from shopbell.organizations import api_tokens, organizations
from shopbell.organizations.api_tokens import Token
from shopbell.runtime.clock import now_ms

app = typer.Typer()

TokenId = Annotated[int, typer.Argument(metavar="ID", parser=object_id, help="The token's id.")]

_HOUR_MS = 60 * 60 * 1000
_SHOWN_ONCE = "Save the token now: it is not stored and cannot be shown again."

_TOO_STRONG = (
    "Warning: this token has all scopes and never expires. Limit its scopes (--scope) or its lifetime (--expires)."
)


@app.command("create")
def create_token(
    organization: OfOrganization,
    name: Annotated[str, typer.Option(help="Its name. Default: `token` and its id.")] = "",
    scope: Annotated[
        list[str] | None,
        typer.Option(
            metavar="SCOPE",
            help=f"A scope of the token. Repeatable; all scopes by default. Scopes: {', '.join(api_tokens.SCOPES)}.",
        ),
    ] = None,
    expires: Annotated[
        int | None,
        typer.Option(
            parser=unix_ms, metavar="TIME", help="When it expires: ISO 8601, in UTC by default. Default: never."
        ),
    ] = None,
    json: JSON = False,
) -> None:
    """Create an API token and show it once."""
    secrets, at_ms = secret_keys(), now_ms()

    def work(tx: Connection) -> tuple[Token, str]:
        organizations.get(tx, organization)
        keys = secrets.derive(api_tokens.KEY_PURPOSE)
        return api_tokens.create(tx, keys, organization, name, scope or (), expires, actor=ACTOR, now_ms=at_ms)

    token, secret = write(work, keys=secrets)
    if json:
        print_json({**_as_json(token, at_ms), "token": secret})
        _warn(token)
        return
    _show(token, secret)


@app.command("list")
def list_tokens(organization: OnlyOrganization = None, json: JSON = False) -> None:
    """List tokens without their secrets."""
    found = read(lambda tx: api_tokens.find_all(tx, organization))
    at_ms = now_ms()
    if json:
        print_json([_as_json(token, at_ms) for token in found])
        return
    rows = [
        (
            each.id,
            each.organization_id,
            each.name,
            f"…{each.hint}",
            _state(each, at_ms),
            iso(each.created_at_ms),
            iso(each.last_used_at_ms),
            iso(each.expires_at_ms),
            _scopes(each),
        )
        for each in found
    ]
    columns = ("id", "organization", "name", "ends in", "state", "created", "last used", "expires", "scopes")
    print_table(columns, rows, nothing="There are no tokens yet.")


@app.command("revoke")
def revoke_token(token: TokenId, json: JSON = False) -> None:
    """Revoke a token for good. Running servers refuse it within a second."""
    at_ms = now_ms()
    revoked = write(lambda tx: api_tokens.revoke(tx, token, actor=ACTOR, now_ms=at_ms))
    if json:
        print_json(_as_json(revoked, at_ms))
    else:
        say(f"Revoked token {revoked.id} ({revoked.name}).")


@app.command("rotate")
def rotate_token(
    token: TokenId,
    overlap: Annotated[
        float, typer.Option(min=0, max=24 * 365, metavar="HOURS", help="Hours for which the old token stays valid.")
    ] = 24,
    json: JSON = False,
) -> None:
    """Replace a token by a new one.

    The new token has the same name, scopes and expiry time. For some hours both are valid.
    """
    secrets, at_ms = secret_keys(), now_ms()

    def work(tx: Connection) -> tuple[Token, Token, str]:
        keys, overlap_ms = secrets.derive(api_tokens.KEY_PURPOSE), round(overlap * _HOUR_MS)
        return api_tokens.rotate(tx, keys, token, overlap_ms=overlap_ms, actor=ACTOR, now_ms=at_ms)

    old, new, secret = write(work, keys=secrets)
    if json:
        print_json({**_as_json(new, at_ms), "token": secret, "replaced": _as_json(old, at_ms)})
        _warn(new)
        return
    _show(new, secret)
    say(f"Token {old.id} (…{old.hint}) stays valid until {iso(old.expires_at_ms)}.", error=True)


def _as_json(token: Token, at_ms: int) -> dict[str, object]:
    return {**as_json(token), "valid": token.is_valid(at_ms)}


def _scopes(token: Token) -> str:
    return "all" if token.scopes == frozenset(api_tokens.SCOPES) else " ".join(sorted(token.scopes))


def _state(token: Token, at_ms: int) -> str:
    if token.revoked_at_ms is not None:
        return "revoked"
    return "valid" if token.is_valid(at_ms) else "expired"


def _show(token: Token, secret: str) -> None:
    print_facts(
        (
            ("id", token.id),
            ("organization", token.organization_id),
            ("name", token.name),
            ("scopes", _scopes(token)),
            ("expires", iso(token.expires_at_ms) or "never"),
            ("token", secret),
        )
    )
    say(_SHOWN_ONCE, error=True)
    _warn(token)


def _warn(token: Token) -> None:
    """Warn about a token that has all scopes and never expires."""
    if token.expires_at_ms is None and token.scopes == frozenset(api_tokens.SCOPES):
        say(_TOO_STRONG, error=True)
