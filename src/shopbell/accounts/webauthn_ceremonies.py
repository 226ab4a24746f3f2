"""The two ceremonies of WebAuthn Level 3, without storage. ``passkeys.py`` imports this when someone uses a passkey."""

from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import urlsplit

import orjson
from webauthn import (
    generate_authentication_options,
    generate_registration_options,
    options_to_json,
    verify_authentication_response,
    verify_registration_response,
)
from webauthn.helpers import base64url_to_bytes, bytes_to_base64url, parse_client_data_json
from webauthn.helpers.exceptions import WebAuthnException
from webauthn.helpers.structs import (
    AuthenticatorSelectionCriteria,
    PublicKeyCredentialDescriptor,
    ResidentKeyRequirement,
    UserVerificationRequirement,
)

REFUSED = (WebAuthnException, ValueError, KeyError, TypeError)
"""What the functions raise if a browser's response is not what it must be."""

_SITE_NAME = "Shopbell"


def registration_options(origin: str, user_id: str, name: str, known: Iterable[str]) -> tuple[bytes, dict[str, Any]]:
    """A challenge, and the options for ``navigator.credentials.create``.

    Args:
        origin: scheme, host and port of the pages.
        user_id: the user handle, at most 64 bytes, without personal data.
        name: what the device shows.
        known: the credential ids that the employee has.
    """
    options = generate_registration_options(
        rp_id=_host(origin),
        rp_name=_SITE_NAME,
        user_name=name,
        user_id=user_id.encode(),
        exclude_credentials=[PublicKeyCredentialDescriptor(base64url_to_bytes(each)) for each in known],
        authenticator_selection=AuthenticatorSelectionCriteria(
            resident_key=ResidentKeyRequirement.REQUIRED, user_verification=UserVerificationRequirement.REQUIRED
        ),
    )
    return options.challenge, orjson.loads(options_to_json(options))


def verify_registration(origin: str, credential: Mapping[str, Any], challenge: bytes) -> tuple[str, str, int]:
    """Check a new passkey; returns credential id and public key (base64url), and the count of its uses.

    Raises:
        REFUSED: it is not valid.
    """
    verified = verify_registration_response(
        credential=dict(credential),
        expected_challenge=challenge,
        expected_rp_id=_host(origin),
        expected_origin=origin,
        require_user_verification=True,
    )
    return (
        bytes_to_base64url(verified.credential_id),
        bytes_to_base64url(verified.credential_public_key),
        verified.sign_count,
    )


def authentication_options(origin: str) -> tuple[bytes, dict[str, Any]]:
    """A challenge, and the options for ``navigator.credentials.get``: any passkey of the site."""
    options = generate_authentication_options(
        rp_id=_host(origin), user_verification=UserVerificationRequirement.REQUIRED
    )
    return options.challenge, orjson.loads(options_to_json(options))


def verify_authentication(
    origin: str, credential: Mapping[str, Any], challenge: bytes, public_key: str, count: int
) -> int:
    """Check the proof of a passkey; returns the count of its uses.

    Raises:
        REFUSED: it is not valid; also if the count went back, as that of a copy would.
    """
    verified = verify_authentication_response(
        credential=dict(credential),
        expected_challenge=challenge,
        expected_rp_id=_host(origin),
        expected_origin=origin,
        credential_public_key=base64url_to_bytes(public_key),
        credential_current_sign_count=count,
        require_user_verification=True,
    )
    return verified.new_sign_count


def challenge_of(credential: Mapping[str, Any]) -> bytes:
    """The challenge that a browser's response answers.

    Raises:
        REFUSED: the response is malformed.
    """
    return parse_client_data_json(base64url_to_bytes(credential["response"]["clientDataJSON"])).challenge


def _host(origin: str) -> str:
    # The relying party. Browsers accept no IP address here.
    return urlsplit(origin).hostname or ""
