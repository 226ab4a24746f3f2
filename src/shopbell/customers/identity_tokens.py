"""Identity tokens: JSON Web Tokens (RFC 7519) with which a site's backend says who its visitor is. Pure.

A token is signed with the organization's private key by HMAC-SHA-256. A token with another algorithm, or none, is
refused before its signature is checked. It is valid for at most an hour, so that a stolen token soon expires. Then the
widget asks the site for a new one.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar
from unicodedata import category

from shopbell.formats import graphemes, identities, names

T = TypeVar("T")

ALGORITHM = "HS256"
VALID_MAX_S = 3_600
"""The longest remaining lifetime of a token."""

CLOCK_ERROR_S = 60
"""How much the clocks of the servers may differ."""

TOKEN_MAX_CHARACTERS = 4_096
SUBJECT_MAX_CHARACTERS = 255
_NAME_MAX_CHARACTERS = 200
_CONFIRMED = (None, True, "true")


@dataclass(frozen=True, slots=True, repr=False)
class Claims:
    """What a site says about its visitor.

    Args:
        subject: the site's id of the visitor.
        email: the address as sent, and in normal form.
        phone: in E.164.
        locale: BCP 47 tag in normal form.
        ignored: the names of optional claims that were not valid and were ignored.
    """

    subject: str
    email: tuple[str, str] | None = None
    phone: str | None = None
    first_name: str | None = None
    last_name: str | None = None
    locale: str | None = None
    ignored: tuple[str, ...] = ()


class WrongToken(ValueError):
    """The token is not valid. The text tells a developer why, without anything from the token."""


class ExpiredToken(WrongToken):
    """The token has expired: the site must create a new one."""


def read(token: str, private_key: str, audiences: Collection[str], *, now_s: float) -> Claims:
    """Check a token and read its claims.

    An optional claim that is not valid is ignored and named in ``ignored``: it must not keep a signed-in user out.

    Args:
        token: as the browser sent it; spaces around it do not matter.
        private_key: that of the organization.
        audiences: the accepted values of ``aud``.

    Raises:
        ExpiredToken: it has expired.
        WrongToken: it is not valid for another reason.
    """
    # Few installations identify visitors, and the library takes 10 MB.
    from joserfc import jwt
    from joserfc.errors import JoseError
    from joserfc.jwk import OctKey

    token = token.strip()
    if len(token) > TOKEN_MAX_CHARACTERS:
        raise WrongToken(f"must have at most {TOKEN_MAX_CHARACTERS} characters")
    try:
        decoded = jwt.decode(token, OctKey.import_key(private_key), algorithms=[ALGORITHM])
    except (JoseError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
        # In a stranger's token, any part may have any type.
        raise WrongToken(f"must be a JWT that is signed by {ALGORITHM} with the organization's private key") from None
    claims: Mapping[str, Any] = decoded.claims
    if not isinstance(claims, dict):
        raise WrongToken("must contain an object of claims")
    _check_audience(claims.get("aud"), audiences)
    _check_times(claims, now_s)
    optional = _Optional(claims)
    return Claims(
        subject=_subject(claims.get("sub")),
        # An address that the site marks as unconfirmed does not count. Some sites send a text or a number for false.
        email=optional.take("email", _email) if claims.get("email_verified") in _CONFIRMED else None,
        phone=optional.take("phone_number", _phone) if claims.get("phone_number_verified") in _CONFIRMED else None,
        first_name=optional.take("given_name", _name),
        last_name=optional.take("family_name", _name),
        locale=optional.take("locale", identities.normal_locale),
        ignored=tuple(optional.ignored),
    )


class _Optional:
    """Reads optional claims, and notes those that are not valid."""

    def __init__(self, claims: Mapping[str, Any]) -> None:
        self._claims = claims
        self.ignored: list[str] = []

    def take(self, name: str, normal: Callable[[str], T]) -> T | None:
        """Return a claim in its normal form, or None if it is absent, empty or not valid."""
        given = self._claims.get(name)
        if given is None:
            return None
        try:
            if isinstance(given, str):
                return normal(given.strip()) if given.strip() else None
        except ValueError:
            pass
        self.ignored.append(name)
        return None


def _subject(given: object) -> str:
    # Many sites number their users, and send the number as it is.
    subject = str(given) if isinstance(given, int) and not isinstance(given, bool) else given
    if not isinstance(subject, str) or not subject.strip() or len(subject) > SUBJECT_MAX_CHARACTERS or "\0" in subject:
        raise WrongToken(f"must have a claim 'sub', a text of 1 to {SUBJECT_MAX_CHARACTERS} characters or an integer")
    return subject


def _check_audience(given: object, audiences: Collection[str]) -> None:
    named = given if isinstance(given, list) else [given]
    if not any(isinstance(one, str | int) and str(one) in audiences for one in named):
        raise WrongToken("must have a claim 'aud' that is the publishable key or the organization's id")


def _check_times(claims: Mapping[str, Any], now_s: float) -> None:
    ends_s = _time("exp", claims.get("exp"))
    if ends_s is None:
        raise WrongToken("must have a claim 'exp'")
    for name in ("iat", "nbf"):
        begins_s = _time(name, claims.get(name))
        if begins_s is not None and begins_s > now_s + CLOCK_ERROR_S:
            raise WrongToken(f"must not have a claim '{name}' in the future")
    if ends_s <= now_s:
        raise ExpiredToken("has expired")
    if ends_s > now_s + VALID_MAX_S + CLOCK_ERROR_S:
        raise WrongToken("must expire within an hour")


def _time(name: str, given: object) -> float | None:
    if given is None:
        return None
    if isinstance(given, bool) or not isinstance(given, int | float) or not abs(given) < 1e12:
        raise WrongToken(f"must have a number of seconds in the claim '{name}'")
    return float(given)


def _email(text: str) -> tuple[str, str]:
    return text, identities.normal_email(text)


def _phone(text: str) -> str:
    return identities.normal_phone(text, None)


def _name(text: str) -> str | None:
    seen = "".join(one for one in text if category(one) not in ("Cc", "Cs")).strip()
    return graphemes.beginning(names.stored(seen), _NAME_MAX_CHARACTERS) or None
