"""Ids of passkeys that no browser sends, on real databases."""

import pytest

from harness.installation import Installation
from harness.soft_passkey import SoftPasskey
from shopbell.accounts import passkeys

ORIGIN = "http://localhost:8000"
NOW_MS = 1_800_000_000_000


@pytest.mark.parametrize("credential_id", ["\0", "a\0", "", "é", "a b", "ab=", 7, None, ["a"]])
def test_an_id_that_is_not_base64url_is_refused(installation: Installation, credential_id: object) -> None:
    with installation.database.connection() as tx:
        options = passkeys.begin_authentication(tx, ORIGIN, now_ms=NOW_MS)
        proof = SoftPasskey(ORIGIN).get(options) | {"id": credential_id}
        with pytest.raises(passkeys.PasskeyRefused):
            passkeys.authenticate(tx, ORIGIN, proof, now_ms=NOW_MS)
