"""Keys derived from the secret key."""

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from shopbell.security.keys import KEY_BYTES, Keys

SECRETS = (b"0123456789abcdef0123456789abcdef", b"an older one of another length, in use until it is changed")


def test_derived_keys_are_those_of_hkdf() -> None:
    for purpose in ("tokens", "", "purpose ü"):
        info = f"shopbell {purpose}".encode()
        expected = tuple(HKDF(SHA256(), KEY_BYTES, salt=None, info=info).derive(secret) for secret in SECRETS)
        assert Keys(SECRETS).derive(purpose) == expected


def test_each_purpose_and_each_secret_has_its_own_key() -> None:
    keys = {key for purpose in ("one", "two") for key in Keys(SECRETS).derive(purpose)}
    assert len(keys) == 4
