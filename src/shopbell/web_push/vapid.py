"""The key that identifies this installation to push services (VAPID, RFC 8292).

There is one for each installation: browsers accept messages only from the key that they subscribed with. It is
generated on first use, and stored encrypted.
"""

from urllib.parse import urlsplit

from sqlalchemy import Connection

from shopbell.db import installation
from shopbell.security.encryption import Cipher
from shopbell.web_push.encryption import to_base64url

SEALING_PURPOSE = "web push key"
"""For ``Cipher``."""

_FACT = "sealed_web_push_key"
_CURVE = "P-256"
_VALID_S = 12 * 60 * 60
_RENEWED_BEFORE_S = 60 * 60
_ORIGINS_MAX = 100


def find(tx: Connection, cipher: Cipher) -> str | None:
    """The private key as PEM; None if there is none yet.

    Raises:
        SettingsError: it was encrypted with another secret key.
    """
    sealed = installation.find_fact(tx, _FACT)
    return None if sealed is None else cipher.open(sealed)


def create(tx: Connection, cipher: Cipher) -> str:
    """Generate the private key, unless there is one; returns it as PEM."""
    from joserfc.jwk import ECKey

    pem = ECKey.generate_key(_CURVE).as_pem(private=True).decode()
    return cipher.open(installation.remember(tx, _FACT, cipher.encrypt(pem)))


def reseal(tx: Connection, cipher: Cipher) -> None:
    """Encrypt the key with the current secret key.

    The old secret key can then be removed from the settings.

    Raises:
        SettingsError: it was encrypted with neither.
    """
    pem = find(tx, cipher)
    if pem is not None:
        installation.replace_fact(tx, _FACT, cipher.encrypt(pem))


class Vapid:
    """Signs requests to push services.

    Args:
        pem: the private key.
        contact: a URL or ``mailto:`` address at which push services reach the operator.
    """

    def __init__(self, pem: str, contact: str) -> None:
        from joserfc.jwk import ECKey

        self._key: ECKey = ECKey.import_key(pem)
        self._contact = contact
        self._signed: dict[str, tuple[str, float]] = {}

    @property
    def public_key(self) -> str:
        """The public key for browsers' ``applicationServerKey``, in base64url.

        It is the uncompressed point.
        """
        from cryptography.hazmat.primitives import serialization

        point = (serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint)
        return to_base64url(self._key.public_key.public_bytes(*point))

    def authorization(self, url: str, *, now_s: float) -> str:
        """The header ``Authorization`` of a request to a push service.

        Args:
            url: the endpoint of a subscription.
            now_s: Unix seconds.
        """
        parts = urlsplit(url)
        origin = f"{parts.scheme}://{parts.netloc}"
        signed, until_s = self._signed.get(origin, ("", 0.0))
        if now_s > until_s - _RENEWED_BEFORE_S:
            from joserfc import jwt

            until_s = now_s + _VALID_S
            claims = {"aud": origin, "exp": int(until_s), "sub": self._contact}
            signed = f"vapid t={jwt.encode({'alg': 'ES256', 'typ': 'JWT'}, claims, self._key)}, k={self.public_key}"
            if len(self._signed) >= _ORIGINS_MAX:  # each employee can register a URL
                self._signed.clear()
            self._signed[origin] = signed, until_s
        return signed
