"""Encrypt secrets in the database, with keys derived from the secret key."""

import base64
from functools import cached_property
from typing import TYPE_CHECKING

from shopbell.errors import SettingsError
from shopbell.security.keys import Keys

if TYPE_CHECKING:
    from cryptography.fernet import MultiFernet


class Cipher:
    """Encrypts and decrypts short strings (Fernet: AES-128-CBC and HMAC-SHA-256).

    Args:
        keys: the installation's keys; the previous one still decrypts.
        purpose: selects the key; each purpose has its own.
    """

    def __init__(self, keys: Keys, purpose: str) -> None:
        self._keys = keys.derive(purpose)

    @cached_property
    def _fernet(self) -> "MultiFernet":
        # A server that has encrypted nothing saves the 7 MB of the library.
        from cryptography.fernet import Fernet, MultiFernet

        return MultiFernet([Fernet(base64.urlsafe_b64encode(key)) for key in self._keys])

    def encrypt(self, text: str) -> str:
        """Encrypt a string."""
        return self._fernet.encrypt(text.encode()).decode("ascii")

    def open(self, sealed: str) -> str:
        """Decrypt the result of ``encrypt``.

        Raises:
            SettingsError: it was encrypted with a secret key that this installation does not have.
        """
        from cryptography.fernet import InvalidToken

        try:
            return self._fernet.decrypt(sealed).decode()
        except InvalidToken:
            raise SettingsError(
                "a secret in the database was encrypted with another secret key; set SHOPBELL_SECRET_KEY_OLD to it"
            ) from None
