"""A complete email with its envelope, as the email channels take it."""

from dataclasses import dataclass, field
from email.message import EmailMessage

LINE_MAX_BYTES = 998
"""Maximum length of a line, without its line break (RFC 5322, section 2.1.1)."""


@dataclass(frozen=True, slots=True)
class OutgoingEmail:
    """One email to one recipient. Its repr shows neither the addresses nor the message.

    Args:
        sender: the envelope sender, to which bounces return.
        recipient: the only recipient, whatever the headers say.
        message: created by ``compose()``.
    """

    sender: str = field(repr=False)
    recipient: str = field(repr=False)
    message: EmailMessage = field(repr=False)

    @property
    def needs_utf8(self) -> bool:
        """Whether the server must support SMTPUTF8 (RFC 6531)."""
        return not (self.sender + self.recipient).isascii()

    def as_bytes(self) -> bytes:
        """Return the message as it is sent: every line ends with CR LF, with no other CR or LF.

        Raises:
            ValueError: a line exceeds ``LINE_MAX_BYTES``, which is a bug in this package.
        """
        content = b"\r\n".join(self.message.as_bytes().splitlines()) + b"\r\n"
        if max(map(len, content.split(b"\r\n"))) > LINE_MAX_BYTES:
            raise ValueError("a line of the email is too long")
        return content
