"""The settings for the mailbox that Shopbell reads."""

import pytest

from shopbell.errors import SettingsError
from shopbell.settings.mailbox import MailboxAddress
from shopbell.settings.settings import load

DOMAIN = {"mail_reply_domain": "shop.example.com"}
URL = "imaps://reply%40shop.example.com:canary%2F%C3%A9@imap.example.com"
OAUTH = {"imap_oauth_token_url": "google", "imap_oauth_client_id": "id", "imap_oauth_refresh_token": "token"}


@pytest.mark.parametrize(
    ("url", "mailbox"),
    [
        (URL, MailboxAddress("imap.example.com", 993, "reply@shop.example.com", "canary/é", "INBOX")),
        (
            "imaps://a:b@[::1]:1993/Archive/Shop%20mail",
            MailboxAddress("::1", 1993, "a", "b", "Archive/Shop mail"),
        ),
    ],
)
def test_a_url_names_the_mailbox(url: str, mailbox: MailboxAddress) -> None:
    assert load(imap_url=url, **DOMAIN).mailbox == mailbox


def test_without_a_url_there_is_no_mailbox() -> None:
    assert load().mailbox is None


@pytest.mark.parametrize(
    "url",
    [
        "imap://a:canary@imap.example.com",
        "imaps://imap.example.com/INBOX",
        "imaps://:canary@imap.example.com",
        "imaps://a:@imap.example.com",
        "imaps://a:canary@",
        "imaps://a:canary@imap.example.com:99999",
        "imaps://a:canary@imap.example.com/INBOX?x",
        "imaps://a:canary@imap.example.com/IN%22BOX",
        "imaps://a:canary@imap.example.com/Entw%C3%BCrfe",
        "imaps://a%0D%0Ax:canary@imap.example.com",
        "imaps://[canary",
    ],
)
def test_a_wrong_url_is_refused_and_not_repeated(url: str) -> None:
    with pytest.raises(SettingsError, match="SHOPBELL_IMAP_URL: must look like imaps://") as refused:
        load(imap_url=url, **DOMAIN)
    assert "canary" not in str(refused.value)


def test_a_mailbox_needs_the_reply_domain_and_three_folders() -> None:
    with pytest.raises(SettingsError, match="MAIL_REPLY_DOMAIN is required with SHOPBELL_IMAP_URL"):
        load(imap_url=URL)
    with pytest.raises(SettingsError, match="SHOPBELL_IMAP_DONE_FOLDER: the three folders"):
        load(imap_url=URL, imap_failed_folder="Shopbell", **DOMAIN)


@pytest.mark.parametrize("missing", sorted(OAUTH))
def test_a_mailbox_without_a_password_needs_oauth(missing: str) -> None:
    url = "imaps://reply%40shop.example.com@imap.example.com"
    assert load(imap_url=url, **DOMAIN, **OAUTH).imap_token_endpoint == "https://oauth2.googleapis.com/token"
    with pytest.raises(SettingsError, match=f"SHOPBELL_{missing.upper()} is required if SHOPBELL_IMAP_URL has no pass"):
        load(imap_url=url, **DOMAIN, **{name: value for name, value in OAUTH.items() if name != missing})


def test_a_token_endpoint_is_a_preset_or_a_url() -> None:
    own = "https://login.example.com/oauth2/token"
    assert load(imap_oauth_token_url=own).imap_token_endpoint == own
    for wrong in ("yahoo", "ftp://example.com/token", "https://a:b@example.com/token"):
        with pytest.raises(SettingsError, match="must be google, microsoft or the https URL"):
            load(imap_oauth_token_url=wrong)


@pytest.mark.parametrize("name", ['"', "Entwürfe", "a\r\nb", "", "*"])
def test_folders_have_plain_names(name: str) -> None:
    with pytest.raises(SettingsError, match="must be the name of a folder in ASCII"):
        load(imap_done_folder=name)
