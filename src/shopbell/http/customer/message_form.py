"""The message form of a conversation page, for browsers without JavaScript."""

from collections.abc import Sequence
from typing import NamedTuple
from uuid import UUID, uuid4, uuid5

from fastapi import Request
from python_multipart.multipart import parse_options_header

from shopbell.attachments.attachments import Attachment
from shopbell.errors import FieldError, Invalid
from shopbell.http.customer.attachments import keep
from shopbell.http.request.body import read_body
from shopbell.http.request.multipart import FRAMING_MAX_BYTES, PART, OneFile
from shopbell.http.request.visitor import Visitor

TEXT_PART = "text"
ID_PART = "clientMessageId"
_PARTS_MAX_BYTES = {TEXT_PART: 65_536, ID_PART: 36}


class SentMessage(NamedTuple):
    """The content of a sent form.

    Args:
        text: the text; may be empty.
        attachment: the file, if there is one, already stored.
        client_message_id: a UUID, which is the same for the same message from the same form.
    """

    text: str
    attachment: Attachment | None
    client_message_id: str


class MessageForm(OneFile):
    """Parses a ``multipart/form-data`` body with a text, the id of the form and an optional file.

    Args:
        headers: of the request, with names in lower case.

    Raises:
        Invalid: 400; the headers do not announce such a body.
    """

    beside_max_bytes = FRAMING_MAX_BYTES + sum(_PARTS_MAX_BYTES.values())

    def __init__(self, headers: Sequence[tuple[bytes, bytes]]) -> None:
        super().__init__(headers)
        self._parts_sent: dict[str, bytearray] = {}
        self._name = ""
        self.has_file = False

    @property
    def text(self) -> str:
        """The text, with ``\\n`` at the ends of lines."""
        return self._sent(TEXT_PART).replace("\r\n", "\n").replace("\0", "")

    def message(self, kept: Attachment | None) -> SentMessage:
        """Return the message of a complete form.

        If the same form is sent twice, it is one message. With other content it is another message: a browser shows the
        same form again when its user goes back.

        Args:
            kept: the stored file, if there is one.

        Raises:
            Invalid: 400; the id of the form is not a UUID.
        """
        try:
            form_id = UUID(self._sent(ID_PART)) if ID_PART in self._parts_sent else uuid4()
        except ValueError:
            raise _malformed() from None
        content = f"{'' if kept is None else kept.sha256} {self.text}"
        return SentMessage(self.text, kept, str(uuid5(form_id, content)))

    def _sent(self, name: str) -> str:
        return self._parts_sent.get(name, bytearray()).decode("utf-8", "replace")

    def end(self) -> None:
        if not self._is_over:
            raise _malformed()

    def _begin(self) -> None:
        self._part_headers.clear()

    def _end_headers(self) -> None:
        kind, options = parse_options_header(self._part_headers.get(b"content-disposition", b""))
        name = options.get(b"name", b"").decode("utf-8", "replace")
        if kind != b"form-data" or name not in (*_PARTS_MAX_BYTES, PART) or name in self._parts_sent:
            raise _malformed()
        self._name, self._parts_sent[name] = name, bytearray()
        if name == PART:
            self._end_file_headers(options)

    def _take(self, data: bytes, start: int, end: int) -> None:
        if self._name == PART:
            self.has_file = self.has_file or end > start
            super()._take(data, start, end)
            return
        part = self._parts_sent[self._name]
        part += data[start:end]
        if len(part) > _PARTS_MAX_BYTES[self._name]:
            raise _malformed()


async def read_message(visitor: Visitor, request: Request) -> SentMessage:
    """Read the form of a page, and store its file.

    Raises:
        RequestError: 400, 408, 409, 413, 429.
        StorageError: 503.
    """
    form = MessageForm(request.scope["headers"])
    if visitor.services.attachment_store is None:
        form.feed(await read_body(request.receive, request.scope, visitor.services.settings.body_limit_bytes))
        form.end()
        return form.message(None)
    kept = None
    try:
        kept = await keep(visitor, request, form)
    except Invalid:
        # Without a file, browsers send a part with an empty name.
        if form.has_file or form.sent_name or not form.is_over:
            raise
    return form.message(kept)


def _malformed() -> Invalid:
    return Invalid([FieldError("", "invalid_format", "must be a form with a text and an optional file")])
