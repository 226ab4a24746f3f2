"""Load the installation's secret key and derive keys from it."""

import hmac
import os
from dataclasses import dataclass
from pathlib import Path

from shopbell.errors import SettingsError
from shopbell.security.files import write_private
from shopbell.settings.settings import SECRET_KEY_MIN_BYTES, Settings

KEY_BYTES = 32


@dataclass(frozen=True, slots=True, repr=False)
class Keys:
    """The current secret key and, during a key change, the previous one."""

    secrets: tuple[bytes, ...]

    def derive(self, purpose: str) -> tuple[bytes, ...]:
        """Derive a key for one purpose from each secret (HKDF with SHA-256, RFC 5869).

        Args:
            purpose: selects the key; each purpose has its own.

        Returns:
            Keys of 32 bytes, the current one first.
        """
        # HKDF without salt, of as many bytes as the hash has: extract, then one block of expand. The library for it
        # takes 7 MB in each process.
        info = f"shopbell {purpose}".encode()
        extracted = (hmac.digest(bytes(KEY_BYTES), secret, "sha256") for secret in self.secrets)
        return tuple(hmac.digest(key, info + b"\1", "sha256") for key in extracted)


def key_file(settings: Settings) -> Path:
    """Return the path of the generated secret key, next to the SQLite database."""
    return settings.sqlite_path.with_name("secret.key")


def load(settings: Settings) -> Keys:
    """Load the secret key; generate it on the first start with SQLite.
    Raises:
        SettingsError: the key file is damaged.
    """
    given = [key.get_secret_value().encode() for key in (settings.secret_key, settings.secret_key_old) if key]
    if settings.secret_key is None:  # only possible with SQLite: the settings require it otherwise
        given.insert(0, _from_file(key_file(settings)))
    return Keys(tuple(given))


def _from_file(path: Path) -> bytes:
    if not path.exists():
        # If two processes start for the first time, both use the same key.
        write_private(path, os.urandom(KEY_BYTES).hex().encode() + b"\n", replace=False)
    secret = path.read_bytes().strip()
    if len(secret) < SECRET_KEY_MIN_BYTES:
        raise SettingsError(
            f"{path} is damaged: it must contain at least {SECRET_KEY_MIN_BYTES} bytes; restore it from a backup"
        )
    return secret
