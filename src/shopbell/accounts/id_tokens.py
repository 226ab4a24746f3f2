"""Check ID tokens, with which an OpenID Connect provider names a person. Pure.

An ID token is a JSON Web Token. The rules are those of OpenID Connect Core 1.0, 3.1.3.7. Only signatures with a public
key are accepted: a token without a signature, or signed with a public key as if it were a shared secret, is refused
before its signature is checked.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from shopbell.formats import identities

if TYPE_CHECKING:
    from joserfc.jws import JWSRegistry

KEY_TYPES = {"RS": "RSA", "PS": "RSA", "ES": "EC", "Ed": "OKP"}
"""The type of key (``kty``) of an algorithm, by its first two letters."""

ALGORITHMS = (*(f"{kind}{bits}" for kind in ("RS", "PS", "ES") for bits in (256, 384, 512)), "EdDSA", "Ed25519")
CLOCK_ERROR_S = 60
"""How far the clocks of the two servers may differ."""

TOKEN_MAX_CHARACTERS = 65_536
SUBJECT_MAX_CHARACTERS = 255
_HEADER_MAX_BYTES = 8_192
_TIME_END_S = 1e11  # the year 5138
_MULTI_FACTOR_AMR = "mfa"  # RFC 8176
_MULTI_FACTOR_ACR = ("phr", "phrh", "http://schemas.openid.net/pape/policies/2007/06/multi-factor")


class WrongIdToken(ValueError):
    """A token is refused.

    The text tells the operator why, and quotes nothing from it.
    """


class UnknownKey(WrongIdToken):
    """The token is signed with a key that is not among the provider's known keys."""


@dataclass(frozen=True, slots=True, repr=False)
class Claims:
    """What a provider says about the person who signs in.

    Args:
        subject: the provider's id of the person. It never changes, and belongs to no other person.
        email: the address in normal form, if there is one.
        is_email_verified: whether the provider says that it has verified the address.
        name: of the person, as given.
        is_multi_factor: whether the provider says that it asked for several factors (``amr``, ``acr``).
        authenticated_at_s: when the person last gave a factor to the provider, if it says so. Unix s.
        should_tell_time: whether the provider publishes that it can say so, and was asked to.
    """

    subject: str
    email: str | None = None
    is_email_verified: bool = False
    name: str | None = None
    is_multi_factor: bool = False
    authenticated_at_s: int | None = None
    should_tell_time: bool = False


def read(
    token: str, keys: Sequence[Mapping[str, Any]], *, issuer: str, client_id: str, nonce: str, now_s: float
) -> Claims:
    """Check a token and read its claims.

    Args:
        token: as the provider sent it.
        keys: the provider's keys, as JSON Web Keys (RFC 7517).
        issuer: the provider.
        client_id: the client that the token must be made for.
        nonce: the one that was sent with the request.

    Raises:
        UnknownKey: its signature belongs to none of the keys.
        WrongIdToken: it is refused for another reason.
    """
    # Imported here: few installations need the library, and it takes 10 MB.
    from joserfc import jwt
    from joserfc.errors import ClaimError, ExpiredTokenError, JoseError
    from joserfc.jwk import import_key
    from joserfc.jws import JWSRegistry

    if len(token) > TOKEN_MAX_CHARACTERS:
        raise WrongIdToken("the ID token is too long")
    registry = JWSRegistry(algorithms=ALGORITHMS, strict_check_header=False)  # unknown fields are ignored: RFC 7515, 4
    registry.max_header_length = _HEADER_MAX_BYTES
    key = _key_of(token, keys, registry)
    expected = jwt.JWTClaimsRegistry(
        now=int(now_s),
        leeway=CLOCK_ERROR_S,
        iss={"essential": True, "value": issuer},
        sub={"essential": True},
        aud={"essential": True, "value": client_id},
        exp={"essential": True},
        iat={"essential": True},
    )
    try:
        claims = jwt.decode(token, import_key(dict(key)), registry=registry).claims
        expected.validate(claims)
    except ExpiredTokenError:
        raise WrongIdToken("the ID token has expired") from None
    except ClaimError as error:
        # The name is safe to quote: it is one of the claims that are required here.
        raise WrongIdToken(f"the claims of the ID token are missing or wrong: {error.claim}") from None
    except (JoseError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
        raise WrongIdToken("the signature of the ID token is wrong") from None
    _check_party(claims, client_id)
    if claims.get("nonce") != nonce:
        raise WrongIdToken("the nonce of the ID token is wrong")
    return _claims(claims)


def with_profile(claims: Claims, profile: Mapping[str, Any]) -> Claims:
    """Add the name and address from the provider's UserInfo response.

    Raises:
        WrongIdToken: the response is about another person (OpenID Connect Core 1.0, 5.3.2).
    """
    if profile.get("sub") != claims.subject:
        raise WrongIdToken("the UserInfo response is about another person")
    email, is_verified = _address(profile)
    if email is None:
        email, is_verified = claims.email, claims.is_email_verified
    return replace(claims, email=email, is_email_verified=is_verified, name=_text(profile, "name") or claims.name)


def _key_of(token: str, keys: Sequence[Mapping[str, Any]], registry: "JWSRegistry") -> Mapping[str, Any]:
    """Return the key that a token names; if it names none, the only one that fits."""
    from joserfc.errors import JoseError
    from joserfc.jws import extract_compact

    try:
        header = extract_compact(token.encode(), registry=registry).headers()
        algorithm, key_id = header.get("alg"), header.get("kid")
    except (JoseError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
        raise WrongIdToken("the ID token is not a signed JWT") from None
    if algorithm not in ALGORITHMS:
        raise WrongIdToken("the algorithm of the ID token is not allowed")
    fitting = [
        key
        for key in keys
        if key.get("kty") == KEY_TYPES[algorithm[:2]]
        and key.get("use", "sig") == "sig"
        and key.get("alg", algorithm) == algorithm
        and (key_id is None or key.get("kid") == key_id)
    ]
    if len(fitting) != 1:
        raise UnknownKey("the ID token is signed with an unknown key")
    return fitting[0]


def _check_party(claims: Mapping[str, Any], client_id: str) -> None:
    audience, party = claims["aud"], claims.get("azp")
    if party is None and isinstance(audience, list) and len(audience) > 1:
        raise WrongIdToken("the ID token has several audiences and does not name its client (azp)")
    if party is not None and party != client_id:
        raise WrongIdToken("the ID token is for another client (azp)")


def _claims(claims: Mapping[str, Any]) -> Claims:
    subject = claims["sub"]
    if not isinstance(subject, str) or not 0 < len(subject) <= SUBJECT_MAX_CHARACTERS or not subject.isprintable():
        raise WrongIdToken("the claims of the ID token are missing or wrong: sub")
    at_s, methods = claims.get("auth_time"), claims.get("amr")
    if not isinstance(at_s, int | float) or isinstance(at_s, bool) or not 0 <= at_s < _TIME_END_S:
        at_s = None
    email, is_verified = _address(claims)
    return Claims(
        subject=subject,
        email=email,
        is_email_verified=is_verified,
        name=_text(claims, "name"),
        is_multi_factor=(isinstance(methods, list) and _MULTI_FACTOR_AMR in methods)
        or claims.get("acr") in _MULTI_FACTOR_ACR,
        authenticated_at_s=None if at_s is None else int(at_s),
    )


def _address(claims: Mapping[str, Any]) -> tuple[str | None, bool]:
    """Return the address in normal form, and whether it is verified."""
    # Some providers send a text. Nothing else counts: an address that is not verified may belong to anyone.
    verified = claims.get("email_verified")
    try:
        return identities.normal_email(_text(claims, "email") or ""), verified is True or verified == "true"
    except ValueError:
        return None, False


def _text(claims: Mapping[str, Any], name: str) -> str | None:
    value = claims.get(name)
    return value if isinstance(value, str) else None
