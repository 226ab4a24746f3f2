"""``shopbell token …``."""

from typing import Annotated

import typer
from sqlalchemy import Connection

from shopbell import audit, installation, organizations, tokens
from shopbell.cli.access import read, secret_keys, write
from shopbell.cli.organizations import OfOrganization, OnlyOrganization
from shopbell.cli.output import ID_MAX, JSON, as_json, iso, now_ms, print_facts, print_json, print_table, say
from shopbell.cli.times import unix_ms
from shopbell.tokens import Token

token_app = typer.Typer(help="API tokens, with which programs speak for an organization.", no_args_is_help=True)

TokenId = Annotated[int, typer.Argument(metavar="ID", min=1, max=ID_MAX, help="The token's id.")]

_HOUR_MS = 60 * 60 * 1000
_SHOWN_ONCE = "Keep the token safe: it is shown this once and kept nowhere."

_TOO_STRONG = (
    "Warning: this token has all scopes and never expires. Give it only the scopes that it needs (--scope), or an end "
    "(--expires)."
)


@token_app.command("create")
def create_token(
    organization: OfOrganization,
    name: Annotated[str, typer.Option(help="What people call it; `token` and its id unless given.")] = "",
    scope: Annotated[
        list[str] | None,
        typer.Option(
            metavar="SCOPE", help=f"What it may do; may be repeated, none means all: {', '.join(tokens.SCOPES)}."
        ),
    ] = None,
    expires: Annotated[
        int | None,
        typer.Option(
            parser=unix_ms, metavar="TIME", help="When it ends: ISO 8601, UTC unless it has a zone; never unless given."
        ),
    ] = None,
    json: JSON = False,
) -> None:
    """Make an API token and show it, once."""
    secrets, at_ms = secret_keys(), now_ms()

    def work(tx: Connection) -> tuple[Token, str]:
        installation.adopt(tx, secrets)
        organizations.get(tx, organization)
        keys = secrets.derive(tokens.KEY_PURPOSE)
        token, secret = tokens.create(tx, keys, organization, name, scope or (), expires, now_ms=at_ms)
        _note(tx, token, "token.create", at_ms)
        return token, secret

    token, secret = write(work)
    if json:
        print_json({**_as_json(token, at_ms), "token": secret})
        _warn(token)
        return
    _show(token, secret)


@token_app.command("list")
def list_tokens(organization: OnlyOrganization = None, json: JSON = False) -> None:
    """List all tokens, or those of one organization; never the tokens themselves."""
    found = read(lambda tx: tokens.find_all(tx, organization))
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
    print_table(columns, rows, nothing="There is no token yet.")


@token_app.command("revoke")
def revoke_token(token: TokenId, json: JSON = False) -> None:
    """Revoke a token for good; running servers refuse it within a second."""
    at_ms = now_ms()

    def work(tx: Connection) -> Token:
        revoked = tokens.revoke(tx, token, now_ms=at_ms)
        _note(tx, revoked, "token.revoke", at_ms)
        return revoked

    revoked = write(work)
    if json:
        print_json(_as_json(revoked, at_ms))
    else:
        say(f"Token {revoked.id} ({revoked.name}) is revoked since {iso(revoked.revoked_at_ms)}.")


@token_app.command("rotate")
def rotate_token(
    token: TokenId,
    overlap: Annotated[
        float, typer.Option(min=0, max=24 * 365, metavar="HOURS", help="How many hours the old token stays valid.")
    ] = 24,
    json: JSON = False,
) -> None:
    """Make a token's successor, with its name, scopes and expiry; both are valid for a while."""
    secrets, at_ms = secret_keys(), now_ms()

    def work(tx: Connection) -> tuple[Token, Token, str]:
        installation.adopt(tx, secrets)
        keys = secrets.derive(tokens.KEY_PURPOSE)
        old, new, secret = tokens.rotate(tx, keys, token, overlap_ms=round(overlap * _HOUR_MS), now_ms=at_ms)
        _note(tx, old, "token.rotate", at_ms)
        _note(tx, new, "token.create", at_ms)
        return old, new, secret

    old, new, secret = write(work)
    if json:
        print_json({**_as_json(new, at_ms), "token": secret, "replaced": _as_json(old, at_ms)})
        _warn(new)
        return
    _show(new, secret)
    say(f"Token {old.id} (…{old.hint}) stays valid until {iso(old.expires_at_ms)}.", error=True)


def _note(tx: Connection, token: Token, action: str, at_ms: int) -> None:
    audit.record(tx, token.organization_id, audit.COMMAND_LINE, action, f"token {token.id}", now_ms=at_ms)


def _as_json(token: Token, at_ms: int) -> dict[str, object]:
    return {**as_json(token), "valid": token.is_valid(at_ms)}


def _scopes(token: Token) -> str:
    return "all" if token.scopes == frozenset(tokens.SCOPES) else " ".join(sorted(token.scopes))


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
    """Warn of a token that would give away everything, for good, if it leaked."""
    if token.expires_at_ms is None and token.scopes == frozenset(tokens.SCOPES):
        say(_TOO_STRONG, error=True)
