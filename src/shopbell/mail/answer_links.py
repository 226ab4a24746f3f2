"""The link in mails to a store that opens the conversation: whoever has it reads what was said, and answers.

It is worth more than the reply address in the same mail, which takes an answer from proved senders only. So it ends, it
is good only while the conversation belongs to the same business and that is mailed at the same address, and it is taken
out of what the store answers by mail.
"""

import re
from dataclasses import dataclass
from hashlib import sha256

from shopbell.identity import normal_email
from shopbell.keys import Keys
from shopbell.mail import unsubscribe
from shopbell.mail.signed_ids import SignedIds

PATH = "/answer/"
"""What the link's path begins with; the token follows."""

VALID_S = 14 * 24 * 60 * 60
_KIND = 1
_DIGEST_BYTES = 6
_LINK = re.compile(
    rf"https?://[^\s<>\"]{{1,200}}(?:{PATH}|{unsubscribe.PATH})[a-z2-7]{{50,96}}", re.ASCII | re.IGNORECASE
)


@dataclass(frozen=True, slots=True)
class Answering:
    """The conversation that a link opens.

    Args:
        organization_id: whose it is.
        thread_id: which.
        business_id: the business that was mailed.
        address_digest: of the address that it was mailed at.
    """

    organization_id: int
    thread_id: int
    business_id: int
    address_digest: int


class AnswerLinks:
    """Makes links, and knows its own again.

    Args:
        keys: the installation's keys; links that were signed with the former one are still good.
    """

    def __init__(self, keys: Keys) -> None:
        self._signed = SignedIds(keys, "store's answer link")

    def link(self, base_url: str, answering: Answering, *, now_s: int) -> str:
        """Make a link.

        Args:
            base_url: how this server is reached, without a slash at the end.
            answering: what it opens.
            now_s: the time in Unix s; it is good for 14 days from then on.
        """
        token = self._signed.sign(
            _KIND,
            *(answering.organization_id, answering.thread_id, answering.business_id, answering.address_digest),
            now_s + VALID_S,
        )
        return f"{base_url}{PATH}{token}"

    def parse(self, token: str, *, now_s: int) -> Answering | None:
        """What a link's token opens. It may be whatever a stranger sent.

        Returns:
            None when it is not one of ours, or is over.
        """
        content = self._signed.read(token)
        if content is None or len(content) != 6:
            return None
        kind, organization_id, thread_id, business_id, digest, ends_s = content
        is_good = kind == _KIND and now_s < ends_s
        return Answering(organization_id, thread_id, business_id, digest) if is_good else None


def digest(address: str) -> int:
    """A number that stands for a mail address, below 2^48."""
    return int.from_bytes(sha256(normal_email(address).encode()).digest()[:_DIGEST_BYTES])


def without_links(text: str) -> str:
    """A text without the links that a mail to the store bears: quoted, they would go on to the customer."""
    return _LINK.sub("[…]", text)
