"""The refresh token of the mailbox is sent to a place that is safe."""

import pytest

from shopbell.channels.email.access_tokens import token_endpoint
from shopbell.errors import SettingsError
from shopbell.settings.settings import load


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("http://login.example.com/token", "must be an https URL unless SHOPBELL_OUTBOUND_ALLOW allows its host"),
        ("http://127.0.0.1:9000/token", "must not point to a private address unless SHOPBELL_OUTBOUND_ALLOW allows it"),
        ("https://10.0.0.1/token", "must not point to a private address unless SHOPBELL_OUTBOUND_ALLOW allows it"),
    ],
)
def test_a_token_endpoint_where_others_may_read_the_token_is_refused(url: str, said: str) -> None:
    with pytest.raises(SettingsError, match=f"SHOPBELL_IMAP_OAUTH_TOKEN_URL: {said}"):
        token_endpoint(load(imap_oauth_token_url=url))


@pytest.mark.parametrize("url", ["google", "microsoft", "https://login.example.com/oauth2/token"])
def test_a_token_endpoint_of_https_is_accepted(url: str) -> None:
    assert token_endpoint(load(imap_oauth_token_url=url)).startswith("https://")


def test_the_operator_may_allow_a_token_endpoint_without_https() -> None:
    own = "http://127.0.0.1:9000/token"
    assert token_endpoint(load(imap_oauth_token_url=own, outbound_allow="127.0.0.1:9000")) == own
