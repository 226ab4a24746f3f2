"""Secrets that must be known again: encrypted where they are kept, under a key derived from the installation's own."""

import base64

from cryptography.fernet import Fernet, InvalidToken, MultiFernet

from shopbell.errors import SettingsError
from shopbell.keys import Keys


class Seals:
    """Encrypts and decrypts short texts (Fernet: AES-128-CBC and HMAC-SHA-256).

    Args:
        keys: the installation's keys; what was sealed with the former one can still be opened.
        purpose: what is sealed; other purposes have other keys.
    """

    def __init__(self, keys: Keys, purpose: str) -> None:
        self._fernet = MultiFernet([Fernet(base64.urlsafe_b64encode(key)) for key in keys.derive(purpose)])

    def seal(self, text: str) -> str:
        """Encrypt a text."""
        return self._fernet.encrypt(text.encode()).decode("ascii")

    def open(self, sealed: str) -> str:
        """Decrypt what ``seal`` gave.

        Raises:
            SettingsError: it was sealed with another secret key than this installation has.
        """
        try:
            return self._fernet.decrypt(sealed).decode()
        except InvalidToken:
            raise SettingsError(
                "a secret in the database was encrypted with another secret key; set SHOPBELL_SECRET_KEY_OLD to it"
            ) from None
