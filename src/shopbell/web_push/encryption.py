"""Encrypt a push message for one browser (RFC 8291, aes128gcm of RFC 8188). Pure.

The push service that delivers the message cannot read it.
"""

import base64
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey

_AUTH_BYTES = 16
_SALT_BYTES = 16
_POINT_BYTES = 65
_RECORD_BYTES = 4_096
_LAST_RECORD = b"\x02"


@dataclass(frozen=True, slots=True, repr=False)
class BrowserKeys:
    """The keys of a subscription.

    Args:
        p256dh: the public key of the browser, a point of P-256, uncompressed.
        auth: the secret of the subscription, 16 bytes.
    """

    p256dh: bytes
    auth: bytes

    @classmethod
    def parse(cls, p256dh: str, auth: str) -> "BrowserKeys":
        """Read the keys as browsers send them, in base64url.

        Raises:
            ValueError: they are not valid. The text completes a sentence about both.
        """
        from cryptography.hazmat.primitives.asymmetric import ec

        try:
            keys = cls(from_base64url(p256dh), from_base64url(auth))
            ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), keys.p256dh)
        except ValueError:
            raise ValueError("must be a public key of P-256 and a secret, in base64url") from None
        if len(keys.auth) != _AUTH_BYTES or len(keys.p256dh) != _POINT_BYTES:
            raise ValueError("must be a public key of P-256 and a secret, in base64url")
        return keys


def encrypt(
    plain: bytes,
    keys: BrowserKeys,
    *,
    private_key: "EllipticCurvePrivateKey | None" = None,
    salt: bytes | None = None,
) -> bytes:
    """Encrypt a message.

    Args:
        plain: at most 3,993 bytes: push services accept 4,096 bytes, encrypted.
        keys: of the browser.
        private_key: a key for this message alone; a new one unless given.
        salt: 16 random bytes; new ones unless given.

    Returns:
        The body of the request to the push service.
    """
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM
    from cryptography.hazmat.primitives.kdf.hkdf import HKDF

    private_key = private_key or ec.generate_private_key(ec.SECP256R1())
    salt = salt or os.urandom(_SALT_BYTES)
    point = (serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint)
    own_point = private_key.public_key().public_bytes(*point)
    shared = private_key.exchange(ec.ECDH(), ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), keys.p256dh))

    def derive(secret: bytes, salt: bytes, info: bytes, length: int) -> bytes:
        return HKDF(hashes.SHA256(), length, salt, info).derive(secret)

    secret = derive(shared, keys.auth, b"WebPush: info\0" + keys.p256dh + own_point, 32)
    key = derive(secret, salt, b"Content-Encoding: aes128gcm\0", 16)
    nonce = derive(secret, salt, b"Content-Encoding: nonce\0", 12)
    header = salt + _RECORD_BYTES.to_bytes(4) + bytes([len(own_point)]) + own_point
    return header + AESGCM(key).encrypt(nonce, plain + _LAST_RECORD, None)


def from_base64url(text: str) -> bytes:
    """Decode base64url with or without padding.

    Raises:
        ValueError: it is not base64url.
    """
    if not text.isascii():
        raise ValueError("not ASCII")
    return base64.b64decode(text.rstrip("=") + "=" * (-len(text.rstrip("=")) % 4), altchars=b"-_", validate=True)


def to_base64url(content: bytes) -> str:
    """Encode as base64url without padding."""
    return base64.urlsafe_b64encode(content).decode().rstrip("=")
