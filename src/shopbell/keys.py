"""The installation's secret key, and the keys that are derived from it."""

import os
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from shopbell.errors import SettingsError
from shopbell.private_files import write_private
from shopbell.settings import SECRET_KEY_MIN_BYTES, Settings

KEY_BYTES = 32


@dataclass(frozen=True, slots=True, repr=False)
class Keys:
    """The secrets of this installation, the current one first; a second one is the former, while it is being
    changed."""

    secrets: tuple[bytes, ...]

    def derive(self, purpose: str) -> tuple[bytes, ...]:
        """Derive a key for one purpose from each secret (HKDF with SHA-256, RFC 5869).

        Args:
            purpose: what the key is for; other purposes have other keys.

        Returns:
            Keys of 32 bytes, the current one first.
        """
        info = f"shopbell {purpose}".encode()
        return tuple(HKDF(SHA256(), KEY_BYTES, salt=None, info=info).derive(secret) for secret in self.secrets)


def key_file(settings: Settings) -> Path:
    """Where the secret key lies that was made for an SQLite database: beside it."""
    return settings.sqlite_path.with_name("secret.key")


def load(settings: Settings) -> Keys:
    """Load the secret key, or make it on the first start with SQLite.

    Returns:
        The keys of this installation.

    Raises:
        SettingsError: the key file is damaged.
    """
    given = [key.get_secret_value().encode() for key in (settings.secret_key, settings.secret_key_old) if key]
    if settings.secret_key is None:  # only possible with SQLite: the settings require it otherwise
        given.insert(0, _from_file(key_file(settings)))
    return Keys(tuple(given))


def _from_file(path: Path) -> bytes:
    if not path.exists():
        # Two first starts at once end with one and the same key.
        write_private(path, os.urandom(KEY_BYTES).hex().encode() + b"\n", replace=False)
    secret = path.read_bytes().strip()
    if len(secret) < SECRET_KEY_MIN_BYTES:
        raise SettingsError(
            f"{path} is damaged: it must hold at least {SECRET_KEY_MIN_BYTES} bytes; restore it from a backup"
        )
    return secret
