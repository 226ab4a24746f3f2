"""What pages send without scripts: forms, from nowhere but this server's own pages."""

from collections.abc import Sequence
from typing import NamedTuple
from urllib.parse import parse_qs
from uuid import UUID, uuid4, uuid5

from fastapi import Request
from python_multipart.multipart import parse_options_header

from shopbell.attachments import Attachment
from shopbell.errors import Fault, Invalid
from shopbell.http.api.access import Api
from shopbell.http.body import read_body
from shopbell.http.customer.access import Visitor
from shopbell.http.customer.attachments import keep
from shopbell.http.customer.sessions import OriginRefused, own_origins
from shopbell.http.one_file import FRAMING_MAX_BYTES, PART, OneFile

TEXT_PART = "text"
ID_PART = "clientMessageId"
_PARTS_MAX_BYTES = {TEXT_PART: 65_536, ID_PART: 36}
_FORM_MAX_BYTES = 4_096
FIELDS_MAX = 10
"""Most fields of a form without a file; ours have three at most."""


class SentMessage(NamedTuple):
    """What a page's form has sent.

    Args:
        text: what was written; may be empty.
        attachment: the file, where there was one; it is kept by now.
        client_message_id: a UUID: the same for the same message out of the same form.
    """

    text: str
    attachment: Attachment | None
    client_message_id: str


class MessageForm(OneFile):
    """A ``multipart/form-data`` body with a text, the form's id and perhaps a file, taken apart while it arrives.

    Args:
        headers: of the request, names in lower case.

    Raises:
        Invalid: 400, they do not announce such a body.
    """

    beside_max_bytes = FRAMING_MAX_BYTES + sum(_PARTS_MAX_BYTES.values())

    def __init__(self, headers: Sequence[tuple[bytes, bytes]]) -> None:
        super().__init__(headers)
        self._parts_sent: dict[str, bytearray] = {}
        self._name = ""
        self.has_file = False

    @property
    def text(self) -> str:
        """What was written, with the ends of lines as people's programs write them elsewhere."""
        return self._sent(TEXT_PART).replace("\r\n", "\n").replace("\0", "")

    def message(self, kept: Attachment | None) -> SentMessage:
        """What was sent, once it is over.

        A form that is sent twice, by an impatient hand or a program that asks again, is one message. It is another one
        when something else was written into it: who goes back in his browser finds the same form.

        Args:
            kept: the file that was in it.

        Raises:
            Invalid: 400, the id of the form is none.
        """
        try:
            form_id = UUID(self._sent(ID_PART)) if ID_PART in self._parts_sent else uuid4()
        except ValueError:
            raise _improper() from None
        content = f"{'' if kept is None else kept.sha256} {self.text}"
        return SentMessage(self.text, kept, str(uuid5(form_id, content)))

    def _sent(self, name: str) -> str:
        return self._parts_sent.get(name, bytearray()).decode("utf-8", "replace")

    def end(self) -> None:
        if not self._is_over:
            raise _improper()

    def _begin(self) -> None:
        self._part_headers.clear()

    def _end_headers(self) -> None:
        kind, options = parse_options_header(self._part_headers.get(b"content-disposition", b""))
        name = options.get(b"name", b"").decode("utf-8", "replace")
        if kind != b"form-data" or name not in (*_PARTS_MAX_BYTES, PART) or name in self._parts_sent:
            raise _improper()
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
            raise _improper()


async def read_message(visitor: Visitor, request: Request) -> SentMessage:
    """What a page's form sends: a text, and perhaps a file, which is kept then.

    Raises:
        Problem: 400, 408, 409, 413, 429.
        StorageError: 503.
    """
    form = MessageForm(request.scope["headers"])
    if visitor.api.blobs is None:
        form.feed(await read_body(request.receive, request.scope, visitor.api.settings.body_limit_bytes))
        form.end()
        return form.message(None)
    kept = None
    try:
        kept = await keep(visitor, request, form)
    except Invalid:
        if form.has_file or form.sent_name or not form.is_over:  # without a file browsers send a part without a name
            raise
    return form.message(kept)


async def read_fields(request: Request, limit_bytes: int = _FORM_MAX_BYTES) -> dict[str, str]:
    """The fields of a form without a file.

    Raises:
        Problem: 400, it has too many fields; 408, 413.
    """
    content = await read_body(request.receive, request.scope, limit_bytes)
    try:
        fields = parse_qs(content.decode("utf-8", "replace"), keep_blank_values=True, max_num_fields=FIELDS_MAX)
    except ValueError:
        detail = f"must be a form with at most {FIELDS_MAX} fields"
        raise Invalid([Fault("body", "#", "too_long", detail, members={"maxLength": FIELDS_MAX})]) from None
    return {name: values[0] for name, values in fields.items()}


def check_own_form(request: Request, api: Api) -> None:
    """Let only forms of this server's own pages do anything.

    A page that says ``no-referrer`` sends no origin with its forms: ``Sec-Fetch-Site`` says it then. Where a browser
    knows neither, cookies are not sent along from foreign sites (``SameSite``).

    Raises:
        OriginRefused: 403.
    """
    site = request.headers.get("sec-fetch-site")
    origin = request.headers.get("origin", "null")
    foreign = (
        site != "same-origin" if site is not None else origin != "null" and origin not in own_origins(request, api)
    )
    if foreign:
        raise OriginRefused("The form is not one of this server's own pages")


def _improper() -> Invalid:
    return Invalid([Fault("body", "#", "invalid_format", "must be a form with a text, and a file if there is one")])
