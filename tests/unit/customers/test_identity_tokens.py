"""Which identity tokens are accepted."""

import base64
import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from joserfc import jws, jwt
from joserfc.jwk import OctKey, RSAKey

from shopbell.customers.identity_tokens import ExpiredToken, WrongToken, read

KEY = "sb_private_" + "k" * 49
NOW_S = 1_700_000_000
AUDIENCES = ("pk_live_" + "0" * 24, "12344")
RIGHT = {"sub": "user-1", "aud": AUDIENCES[0], "exp": NOW_S + 300}


def _signed(claims: dict[str, Any], key: Any = None, algorithm: str = "HS256") -> str:
    said = {name: value for name, value in claims.items() if value is not None}
    return jwt.encode({"alg": algorithm}, said, key or OctKey.import_key(KEY), algorithms=[algorithm])


def _unsigned(header: object, payload: object, signature: str = "") -> str:
    parts = (base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode() for part in (header, payload))
    return ".".join((*parts, signature))


def test_a_valid_token_identifies_its_user() -> None:
    names = {"given_name": " Carol\0 ", "family_name": "Carter", "locale": "fr_ca"}
    claims = read(
        _signed(RIGHT | names | {"email": "Carol@Example.com", "phone_number": "+1 617 555 0123"}),
        KEY,
        AUDIENCES,
        now_s=NOW_S,
    )
    assert (claims.subject, claims.email, claims.phone) == (
        "user-1",
        ("Carol@Example.com", "carol@example.com"),
        "+16175550123",
    )
    assert (claims.first_name, claims.last_name, claims.locale) == ("Carol", "Carter", "fr-CA")


@pytest.mark.parametrize("audience", [*AUDIENCES, ["somebody", AUDIENCES[1]]])
def test_one_matching_audience_is_enough(audience: object) -> None:
    assert read(_signed(RIGHT | {"aud": audience}), KEY, AUDIENCES, now_s=NOW_S).subject == "user-1"


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"sub": None}, "'sub'"),
        ({"sub": ""}, "'sub'"),
        ({"sub": True}, "'sub'"),
        ({"sub": 5.5}, "'sub'"),
        ({"sub": "x" * 256}, "'sub'"),
        ({"aud": None}, "'aud'"),
        ({"aud": "12345"}, "'aud'"),
        ({"aud": ["a", 5]}, "'aud'"),
        ({"exp": None}, "'exp'"),
        ({"exp": "soon"}, "'exp'"),
        ({"exp": True}, "'exp'"),
        ({"exp": NOW_S + 3_700}, "within an hour"),
        ({"iat": NOW_S + 61}, "'iat'"),
        ({"nbf": NOW_S + 61}, "'nbf'"),
    ],
)
def test_a_token_with_an_invalid_claim_is_refused_and_the_claim_is_named(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(WrongToken, match=said) as refused:
        read(_signed(RIGHT | changes), KEY, AUDIENCES, now_s=NOW_S)
    assert not isinstance(refused.value, ExpiredToken)


@pytest.mark.parametrize(
    ("claim", "value"),
    [
        ("email", "nobody"),
        ("email", ["carol@example.com"]),
        ("phone_number", "12"),
        ("phone_number", "617 555 0123"),
        ("phone_number", 16175550123),
        ("given_name", 5),
        ("family_name", {}),
        ("locale", "not a language"),
        ("locale", 5),
    ],
)
def test_an_invalid_optional_claim_is_ignored_and_named(claim: str, value: object) -> None:
    others = {"email": "carol@example.com", "phone_number": "+16175550123", "given_name": "Carol", "locale": "fr"}
    claims = read(_signed(RIGHT | others | {claim: value}), KEY, AUDIENCES, now_s=NOW_S)
    right = read(_signed(RIGHT | {**others, claim: None}), KEY, AUDIENCES, now_s=NOW_S)
    assert claims.ignored == (claim,)
    assert claims == replace(right, ignored=(claim,))
    assert right.ignored == ()


def test_white_space_around_a_token_or_claim_is_ignored() -> None:
    token = _signed(RIGHT | {"email": " carol@example.com\n", "phone_number": "+16175550123 "})
    claims = read(f"\n {token}\r\n", KEY, AUDIENCES, now_s=NOW_S)
    assert (claims.email, claims.phone) == (("carol@example.com", "carol@example.com"), "+16175550123")
    assert claims.ignored == ()


def test_a_user_id_can_be_a_number() -> None:
    numbered = read(_signed(RIGHT | {"sub": 5, "aud": 12344}), KEY, AUDIENCES, now_s=NOW_S)
    assert numbered == read(_signed(RIGHT | {"sub": "5"}), KEY, AUDIENCES, now_s=NOW_S)


@pytest.mark.parametrize("exp", [NOW_S, NOW_S - 1, 0, -5, NOW_S - 0.5])
def test_an_expired_token_is_reported_as_such(exp: float) -> None:
    with pytest.raises(ExpiredToken):
        read(_signed(RIGHT | {"exp": exp}), KEY, AUDIENCES, now_s=NOW_S)


@pytest.mark.parametrize("said", [False, "false", "False", 0, "", [], {}])
def test_an_unverified_address_is_ignored(said: object) -> None:
    token = _signed(RIGHT | {"email": "carol@example.com", "email_verified": said})
    assert read(token, KEY, AUDIENCES, now_s=NOW_S).email is None


def test_other_algorithms_are_refused_whatever_the_token_says() -> None:
    public = RSAKey.generate_key(2_048, auto_kid=False)
    for token in (
        _unsigned({"alg": "none"}, RIGHT),
        _unsigned({"alg": "None", "typ": "JWT"}, RIGHT),
        _unsigned({"alg": ["HS256"]}, RIGHT, "x"),
        _unsigned({}, RIGHT, "x"),
        _unsigned([], RIGHT, "x"),
        _unsigned({"alg": "HS256"}, RIGHT),
        _signed(RIGHT, algorithm="HS384"),
        _signed(RIGHT, algorithm="HS512"),
        _signed(RIGHT, public, "RS256"),
        _signed(RIGHT, OctKey.import_key("another key " * 4)),
        _signed(RIGHT)[:-1],
    ):
        with pytest.raises(WrongToken, match="HS256"):
            read(token, KEY, AUDIENCES, now_s=NOW_S)


@pytest.mark.parametrize(
    "payload",
    [b"[1]", b'"x"', b"5", b"null", b"\xff", b"[" * 3_000, b'{"exp":NaN,"sub":"a","aud":"12344"}', b'{"exp":1e999}'],
)
def test_any_malformed_payload_is_refused_without_a_crash(payload: bytes) -> None:
    token = jws.serialize_compact({"alg": "HS256"}, payload, OctKey.import_key(KEY))
    with pytest.raises(WrongToken):
        read(token, KEY, AUDIENCES, now_s=NOW_S)


@given(st.text(max_size=200) | st.from_regex(r"[A-Za-z0-9_-]{1,40}(\.[A-Za-z0-9_-]{1,40}){0,4}", fullmatch=True))
def test_arbitrary_input_is_refused(token: str) -> None:
    with pytest.raises(WrongToken):
        read(token, KEY, AUDIENCES, now_s=NOW_S)


def test_a_token_has_a_maximum_length() -> None:
    with pytest.raises(WrongToken, match="4096"):
        read(_signed(RIGHT | {"more": "x" * 4_000}), KEY, AUDIENCES, now_s=NOW_S)


def test_refusals_contain_nothing_of_the_token() -> None:
    secret = "canaryemail"
    for token in (_signed(RIGHT | {"aud": secret}), _signed(RIGHT | {"sub": [], "name": secret}), secret):
        with pytest.raises(WrongToken) as refused:
            read(token, KEY, AUDIENCES, now_s=NOW_S)
        assert secret not in str(refused.value)
