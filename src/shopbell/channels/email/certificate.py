"""The certificate with which the listener encrypts inbound email."""

import ssl
from pathlib import Path

import structlog

from shopbell.errors import CommandError

log = structlog.get_logger()


class Certificate:
    """A certificate and its key in files that another program renews.

    Args:
        certificate: a PEM file with the certificate and its intermediate certificates.
        key: a PEM file with the private key; None if it is in the same file.

    Raises:
        CommandError: the files cannot be read, or do not belong together.
    """

    def __init__(self, certificate: Path, key: Path | None) -> None:
        self._certificate = certificate
        self._key = key
        try:
            self._version = self._read_version()
            self._context = self._load()
        except OSError as error:  # an SSLError, too
            raise CommandError(f"SHOPBELL_MAIL_TLS_CERTIFICATE: {_reason(error)}") from None

    def context(self) -> ssl.SSLContext:
        """Return what a new connection uses.

        Changed files are loaded. If they cannot be loaded, for example because only one of them has been replaced yet,
        the previous certificate stays in use.
        """
        try:
            version = self._read_version()
            if version != self._version:
                self._context = self._load()
                self._version = version
                log.info("loaded the new certificate for inbound email")
        except OSError as error:
            log.warning("the new certificate for inbound email cannot be loaded", reason=_reason(error))
        return self._context

    def _read_version(self) -> list[tuple[int, int, int]]:
        stats = [path.stat() for path in (self._certificate, self._key) if path is not None]
        return [(stat.st_ino, stat.st_mtime_ns, stat.st_size) for stat in stats]

    def _load(self) -> ssl.SSLContext:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(self._certificate, self._key)
        return context


def _reason(error: OSError) -> str:
    if isinstance(error, ssl.SSLError):
        if error.reason == "KEY_VALUES_MISMATCH":
            return "the key does not belong to the certificate"
        return "the files must contain a certificate and its unencrypted key in PEM format"
    return f"the files cannot be read: {error.strerror}"
