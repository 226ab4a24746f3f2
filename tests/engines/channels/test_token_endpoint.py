"""The doctor checks the token endpoint of the mailbox before it sends a token there."""

import asyncio

from harness.installation import SECRET_KEY, Installation
from shopbell.db.connect import open_database
from shopbell.operations.doctor.findings import Finding, Level
from shopbell.operations.doctor.inbound_email import check_mailbox
from shopbell.settings.settings import load


def test_the_doctor_refuses_a_token_endpoint_without_https(installation: Installation) -> None:
    settings = load(
        database_url=installation.database.url,
        secret_key=SECRET_KEY,
        mail_reply_domain="shop.example.com",
        imap_url="imaps://reply%40shop.example.com@imap.example.com",
        imap_oauth_token_url="http://login.example.com/token",
        imap_oauth_client_id="id",
        imap_oauth_refresh_token="token",
    )

    async def find() -> Finding:
        assert settings.mailbox is not None
        database = open_database(settings)
        finding = await check_mailbox(settings, settings.mailbox, database)
        await database.close()
        return finding

    finding = asyncio.run(find())
    assert (finding.level, finding.detail) == (Level.ERROR, "`shopbell serve` would not start")
    assert finding.remedy.startswith("SHOPBELL_IMAP_OAUTH_TOKEN_URL: must be an https URL")
