"""Create and verify the link that stops the emails about a conversation (RFC 8058)."""

from dataclasses import dataclass

from shopbell.email.reply_addresses import Audience
from shopbell.email.signed_ids import SignedIds
from shopbell.security.keys import Keys

PATH = "/unsubscribe/"
"""The path of the link, followed by the token.

A POST with the body ``List-Unsubscribe=One-Click`` stops the emails without confirmation and without a cookie (RFC
8058). A GET shows a page with a button, because scanners follow links.
"""


PURPOSE = "mail unsubscribe link"
"""The purpose of the token's key."""


@dataclass(frozen=True, slots=True)
class Subscription:
    """The emails about one conversation to one side of it.

    Args:
        address_digest: the ``answer_links.digest`` of the address that the email went to; None in older links.
    """

    organization_id: int
    thread_id: int
    audience: Audience
    address_digest: int | None = None


class UnsubscribeLinks:
    """Signs and verifies links.

    Args:
        keys: the installation's keys. Links signed with the previous key remain valid.
    """

    def __init__(self, keys: Keys) -> None:
        self._signed = SignedIds(keys, PURPOSE)

    def link(self, base_url: str, subscription: Subscription) -> str:
        """Create a link.

        Args:
            base_url: the URL of this server, without a trailing slash.
            subscription: the emails that it stops.
        """
        ids = (subscription.organization_id, subscription.thread_id, subscription.address_digest)
        token = self._signed.sign(subscription.audience, *(id_ for id_ in ids if id_ is not None))
        return f"{base_url}{PATH}{token}"

    def parse(self, token: str) -> Subscription | None:
        """Verify an untrusted token and return the emails that it stops.

        Returns:
            None if the token is invalid.
        """
        content = self._signed.read(token)
        if content is None or len(content) not in (3, 4):
            return None
        audience, organization_id, thread_id, *digests = content
        return Subscription(organization_id, thread_id, Audience(audience), *digests)
