"""The link in mails to a store that opens the conversation: whoever has it reads what was said, and answers.

It is worth as much as the reply address in the same mail, and ends.
"""

from dataclasses import dataclass

from shopbell.keys import Keys
from shopbell.mail.signed_ids import SignedIds

PATH = "/answer/"
"""What the link's path begins with; the token follows."""

VALID_S = 14 * 24 * 60 * 60
_KIND = 1


@dataclass(frozen=True, slots=True)
class Answering:
    """The conversation that a link opens."""

    organization_id: int
    thread_id: int


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
        token = self._signed.sign(_KIND, answering.organization_id, answering.thread_id, now_s + VALID_S)
        return f"{base_url}{PATH}{token}"

    def parse(self, token: str, *, now_s: int) -> Answering | None:
        """What a link's token opens. It may be whatever a stranger sent.

        Returns:
            None when it is not one of ours, or is over.
        """
        content = self._signed.read(token)
        if content is None or len(content) != 4:
            return None
        kind, organization_id, thread_id, ends_s = content
        return Answering(organization_id, thread_id) if kind == _KIND and now_s < ends_s else None
