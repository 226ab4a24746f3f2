"""Which ID tokens of an OpenID Connect provider are accepted."""

import base64
import hmac
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from joserfc import jws, jwt
from joserfc.jwk import ECKey, OKPKey, RSAKey

from shopbell.accounts import id_tokens
from shopbell.accounts.id_tokens import Claims, UnknownKey, WrongIdToken, read, with_profile

ISSUER, CLIENT_ID, NONCE = "https://id.example", "shopbell", "a nonce"
NOW_S = 1_800_000_000
RSA, EC, ED = RSAKey.generate_key(2048), ECKey.generate_key("P-256"), OKPKey.generate_key("Ed25519")
RIGHT: dict[str, Any] = {
    "iss": ISSUER,
    "sub": "1234",
    "aud": CLIENT_ID,
    "exp": NOW_S + 300,
    "iat": NOW_S,
    "nonce": NONCE,
}


def published(key: Any, **changes: Any) -> dict[str, Any]:
    """A key as the provider publishes it."""
    return {**key.as_dict(private=False), "kid": "one", "use": "sig"} | changes


def signed(claims: dict[str, Any], key: Any = RSA, algorithm: str = "RS256", **header: Any) -> str:
    kept = {name: value for name, value in claims.items() if value is not None}
    fields = {"alg": algorithm, "kid": "one"} | header
    registry = jws.JWSRegistry(algorithms=[algorithm], strict_check_header=False)
    return jwt.encode(
        {name: value for name, value in fields.items() if value is not None}, kept, key, registry=registry
    )


def checked(token: str, *keys: dict[str, Any]) -> Claims:
    return read(token, keys or [published(RSA)], issuer=ISSUER, client_id=CLIENT_ID, nonce=NONCE, now_s=NOW_S)


def part(document: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(document).encode()).rstrip(b"=").decode()


def by_secret(secret: bytes) -> str:
    """A token signed with a secret. joserfc refuses to use a public key for this."""
    content = f"{part({'alg': 'HS256', 'kid': 'one'})}.{part(RIGHT)}"
    proof = hmac.digest(secret, content.encode(), "sha256")
    return f"{content}.{base64.urlsafe_b64encode(proof).rstrip(b'=').decode()}"


def test_a_token_says_who_signs_in() -> None:
    more = {
        "email": "Alice@Example.com",
        "email_verified": True,
        "name": "Alice",
        "auth_time": NOW_S - 5,
        "amr": ["mfa"],
    }
    assert checked(signed(RIGHT | more)) == Claims("1234", "alice@example.com", True, "Alice", True, NOW_S - 5)
    assert checked(signed(RIGHT)) == Claims("1234")


@pytest.mark.parametrize(
    ("key", "algorithm"),
    [(RSA, "RS256"), (RSA, "PS256"), (RSA, "RS512"), (EC, "ES256"), (ED, "Ed25519")],
)
def test_the_algorithms_of_public_keys_are_accepted(key: Any, algorithm: str) -> None:
    assert checked(signed(RIGHT, key, algorithm), published(key)).subject == "1234"


def test_a_token_without_a_signature_is_refused() -> None:
    for header in ({"alg": "none"}, {"alg": "None", "kid": "one"}, {"alg": "none", "kid": "one"}):
        with pytest.raises(WrongIdToken, match="algorithm"):
            checked(f"{part(header)}.{part(RIGHT)}.")


def test_a_public_key_is_not_accepted_as_a_shared_secret() -> None:
    for secret in (RSA.as_pem(private=False), json.dumps(published(RSA)).encode(), CLIENT_ID.encode()):
        forged = by_secret(secret)
        with pytest.raises(WrongIdToken, match="algorithm"):
            checked(forged)
        with pytest.raises(WrongIdToken, match="algorithm"):
            checked(
                forged, published(RSA), {"kty": "oct", "kid": "one", "k": base64.urlsafe_b64encode(secret).decode()}
            )


def test_a_key_inside_the_token_is_not_used() -> None:
    mallory = RSAKey.generate_key(2048)
    for header in ({"jwk": published(mallory)}, {"jku": "https://mallory.example/keys", "kid": "one"}):
        with pytest.raises(WrongIdToken, match="signature"):
            checked(signed(RIGHT, mallory, **header))


def test_a_token_of_another_key_is_refused() -> None:
    other = RSAKey.generate_key(2048)
    with pytest.raises(WrongIdToken, match="signature"):
        checked(signed(RIGHT, other))
    for keys in (
        [published(RSA, kid="two")],
        [published(RSA, use="enc")],
        [published(EC)],
        [published(RSA, alg="PS256")],
    ):
        with pytest.raises(UnknownKey):
            checked(signed(RIGHT), *keys)


def test_a_token_that_names_no_key_is_accepted_if_only_one_fits() -> None:
    token = signed(RIGHT, kid=None)
    assert checked(token, published(EC), published(RSA), published(RSA, use="enc")).subject == "1234"
    with pytest.raises(UnknownKey):
        checked(token, published(RSA), published(RSA, kid="two"))


def test_a_changed_claim_breaks_the_signature() -> None:
    head, _, signature = signed(RIGHT).split(".")
    with pytest.raises(WrongIdToken, match="signature"):
        checked(f"{head}.{part(RIGHT | {'sub': 'another'})}.{signature}")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        *(({name: None}, name) for name in ("iss", "sub", "aud", "exp", "iat")),
        ({"iss": "https://mallory.example"}, "iss"),
        ({"iss": ISSUER + "/"}, "iss"),
        ({"iss": [ISSUER]}, "iss"),
        ({"aud": "another"}, "aud"),
        ({"aud": []}, "aud"),
        ({"aud": ["another"]}, "aud"),
        ({"aud": [CLIENT_ID, "another"]}, "azp"),
        ({"aud": [CLIENT_ID, "another"], "azp": "another"}, "azp"),
        ({"azp": "another"}, "azp"),
        ({"azp": [CLIENT_ID]}, "azp"),
        ({"exp": NOW_S - 60}, "expired"),
        ({"exp": "soon"}, "exp"),
        ({"exp": True}, "exp"),
        ({"iat": NOW_S + 61}, "iat"),
        ({"iat": "now"}, "iat"),
        ({"nbf": NOW_S + 61}, "nbf"),
        ({"nonce": None}, "nonce"),
        ({"nonce": "another"}, "nonce"),
        ({"nonce": [NONCE]}, "nonce"),
        ({"sub": ""}, "sub"),
        ({"sub": 1234}, "sub"),
        ({"sub": "x" * 256}, "sub"),
        ({"sub": "a\0b"}, "sub"),
    ],
)
def test_a_token_with_a_wrong_claim_is_refused(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(WrongIdToken, match=said):
        checked(signed(RIGHT | changes))


@pytest.mark.parametrize(
    "changes",
    [
        {"aud": [CLIENT_ID]},
        {"aud": [CLIENT_ID, "another"], "azp": CLIENT_ID},
        {"azp": CLIENT_ID},
        {"exp": NOW_S - 59},
        {"iat": NOW_S + 60, "nbf": NOW_S + 60},
        {"iat": NOW_S - 3_600},
        {"exp": NOW_S + 300.5},
    ],
)
def test_clocks_may_differ_by_a_minute_and_several_audiences_need_a_party(changes: dict[str, Any]) -> None:
    assert checked(signed(RIGHT | changes)).subject == "1234"


@pytest.mark.parametrize("verified", [None, False, "false", 1, "True", [True]])
def test_only_a_clear_yes_verifies_an_address(verified: object) -> None:
    claims = checked(signed(RIGHT | {"email": "alice@example.com", "email_verified": verified}))
    assert (claims.email, claims.is_email_verified) == ("alice@example.com", False)
    for yes in (True, "true"):
        assert checked(signed(RIGHT | {"email": "alice@example.com", "email_verified": yes})).is_email_verified


@pytest.mark.parametrize(
    ("said", "is_multi_factor"),
    [
        ({"amr": ["pwd", "otp", "mfa"]}, True),
        ({"acr": "phr"}, True),
        ({"amr": ["pwd"]}, False),
        ({"amr": "mfa"}, False),
        ({"amr": {"mfa": 1}}, False),
        ({"acr": "0"}, False),
        ({"acr": ["phr"]}, False),
    ],
)
def test_a_provider_may_say_that_it_asked_for_several_factors(said: dict[str, Any], is_multi_factor: bool) -> None:
    assert checked(signed(RIGHT | said)).is_multi_factor is is_multi_factor


def test_an_odd_optional_claim_does_not_prevent_a_sign_in() -> None:
    odd = {"email": "no address", "email_verified": True, "name": 5, "auth_time": "yesterday", "amr": 7}
    assert checked(signed(RIGHT | odd)) == Claims("1234")


def test_an_unknown_field_of_the_header_is_ignored_unless_it_is_critical() -> None:
    assert checked(signed(RIGHT, tenant="acme")).subject == "1234"
    with pytest.raises(WrongIdToken):
        checked(f"{part({'alg': 'RS256', 'kid': 'one', 'crit': ['tenant'], 'tenant': 'x'})}.{part(RIGHT)}.AAAA")


def test_a_profile_adds_the_address_of_the_same_person_only() -> None:
    claims = checked(signed(RIGHT))
    profile = {"sub": "1234", "email": "alice@example.com", "email_verified": True, "name": "Alice"}
    assert with_profile(claims, profile) == Claims("1234", "alice@example.com", True, "Alice")
    for other in ({"sub": "5678"}, {"sub": None}, {}):
        with pytest.raises(WrongIdToken, match="another person"):
            with_profile(claims, profile | other if other else {"email": "bob@example.com"})
    assert with_profile(claims, {"sub": "1234", "email_verified": True}) == claims


@given(st.one_of(st.text(), st.binary().map(lambda raw: base64.urlsafe_b64encode(raw).decode() + ".e30.AA")))
def test_a_text_that_is_not_a_token_is_refused(text: str) -> None:
    with pytest.raises(WrongIdToken):
        checked(text)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(["alg", "kid", "crit", "b64"]), inner),
    )
)
def test_an_odd_header_is_refused(header: object) -> None:
    with pytest.raises(WrongIdToken):
        checked(f"{part(header)}.{part(RIGHT)}.AAAA")


# Controls: each of these tokens is accepted once the protection that refuses it is removed.


def test_without_the_list_of_algorithms_a_shared_secret_would_be_accepted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(id_tokens, "ALGORITHMS", (*id_tokens.ALGORITHMS, "HS256", "none"))
    monkeypatch.setattr(id_tokens, "KEY_TYPES", id_tokens.KEY_TYPES | {"HS": "oct", "no": "oct"})
    secret = json.dumps(published(RSA)).encode()
    key = {"kty": "oct", "kid": "one", "k": base64.urlsafe_b64encode(secret).rstrip(b"=").decode()}
    assert checked(by_secret(secret), published(RSA), key).subject == "1234"


@pytest.mark.parametrize(
    "changes", [{"iss": "https://mallory.example"}, {"aud": "another"}, {"exp": NOW_S - 60}, {"iat": NOW_S + 61}]
)
def test_without_the_checks_of_claims_a_wrong_one_would_be_accepted(
    changes: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jwt.JWTClaimsRegistry, "validate", lambda *_: None)
    assert checked(signed(RIGHT | changes)).subject == "1234"


@pytest.mark.parametrize("changes", [{"aud": [CLIENT_ID, "another"]}, {"azp": "another"}])
def test_without_the_check_of_the_party_another_client_would_be_accepted(
    changes: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(id_tokens, "_check_party", lambda *_: None)
    assert checked(signed(RIGHT | changes)).subject == "1234"
