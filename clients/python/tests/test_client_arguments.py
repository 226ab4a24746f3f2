"""The client refuses invalid arguments when it is created, and never shows the token."""

import pytest

from shopbell_client import Shopbell

URL = "http://127.0.0.1:8080"


@pytest.mark.parametrize(
    "url", ["", "127.0.0.1:8080", "ftp://127.0.0.1", "http://", "http://a:b@127.0.0.1", "http://127.0.0.1/?a=b"]
)
def test_an_invalid_address_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="base_url"):
        Shopbell(url, "token")


@pytest.mark.parametrize("token", ["", "sb_live_a b", "sb_live_a\r\nX: y", "sb_live_é"])
def test_an_invalid_token_is_refused_and_not_quoted(token: str) -> None:
    with pytest.raises(ValueError, match="token") as refused:
        Shopbell(URL, token)
    assert not token or token not in str(refused.value)


@pytest.mark.parametrize("options", [{"attempts": 0}, {"timeout_s": 0}, {"total_timeout_s": -1}])
def test_limits_that_allow_no_attempt_are_refused(options: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="attempts must be at least 1"):
        Shopbell(URL, "token", **options)


def test_the_token_is_not_in_the_repr() -> None:
    with Shopbell(URL, "sb_live_secret") as client:
        assert repr(client) == f"<Shopbell {URL}>"
