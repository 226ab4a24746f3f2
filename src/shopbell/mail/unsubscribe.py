"""The link that ends the mails about a conversation: by one click of the mail program (RFC 8058), or on a page."""

from dataclasses import dataclass

from shopbell.keys import Keys
from shopbell.mail.addresses import Audience
from shopbell.mail.signed_ids import SignedIds

PATH = "/unsubscribe/"
"""What the link's path begins with; the token follows.

A POST to it with the body ``List-Unsubscribe=One-Click`` ends the mails with no further question and no cookie (RFC
8058); a GET shows a page with a button, because scanners follow links.
"""


PURPOSE = "mail unsubscribe link"
"""What the token is signed for."""


@dataclass(frozen=True, slots=True)
class Subscription:
    """The mails about one conversation to one side of it.

    Args:
        address_digest: of the address that the mail with the link went to (``answer_links.digest``); links of older
            mails have none.
    """

    organization_id: int
    thread_id: int
    audience: Audience
    address_digest: int | None = None


class Unsubscribes:
    """Makes links, and knows its own again.

    Args:
        keys: the installation's keys; links that were signed with the former one are still good.
    """

    def __init__(self, keys: Keys) -> None:
        self._signed = SignedIds(keys, PURPOSE)

    def link(self, base_url: str, subscription: Subscription) -> str:
        """Make a link.

        Args:
            base_url: how this server is reached, without a slash at the end.
            subscription: what it ends.
        """
        ids = (subscription.organization_id, subscription.thread_id, subscription.address_digest)
        token = self._signed.sign(subscription.audience, *(id_ for id_ in ids if id_ is not None))
        return f"{base_url}{PATH}{token}"

    def parse(self, token: str) -> Subscription | None:
        """What a link's token ends. It may be whatever a stranger sent.

        Returns:
            None when it is not one of ours.
        """
        content = self._signed.read(token)
        if content is None or len(content) not in (3, 4):
            return None
        audience, organization_id, thread_id, *digests = content
        return Subscription(organization_id, thread_id, Audience(audience), *digests)
