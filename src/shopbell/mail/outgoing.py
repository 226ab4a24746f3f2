"""A finished mail with its envelope: what the channels for mail take."""

from dataclasses import dataclass, field
from email.message import EmailMessage

LINE_MAX_BYTES = 998
"""Longest line of a mail, without its end (RFC 5322, section 2.1.1)."""


@dataclass(frozen=True, slots=True)
class OutgoingMail:
    """One mail to one recipient. Neither addresses nor the mail are in its repr.

    Args:
        sender: the envelope's: where reports come back to.
        recipient: the one address that it goes to, whatever its headers say.
        message: as ``compose()`` made it.
    """

    sender: str = field(repr=False)
    recipient: str = field(repr=False)
    message: EmailMessage = field(repr=False)

    @property
    def needs_utf8(self) -> bool:
        """Whether only servers with SMTPUTF8 can take it (RFC 6531)."""
        return not (self.sender + self.recipient).isascii()

    def as_bytes(self) -> bytes:
        """The message as it is sent: every line ends with CR LF, and there is no other CR or LF.

        Raises:
            ValueError: a line is longer than any server must take, which would be a mistake of ours.
        """
        content = b"\r\n".join(self.message.as_bytes().splitlines()) + b"\r\n"
        if max(map(len, content.split(b"\r\n"))) > LINE_MAX_BYTES:
            raise ValueError("a line of the mail is too long")
        return content
