"""Messages as browsers and apps of customers see them."""

from pydantic import Field

from shopbell.attachments.attachments import Attachment
from shopbell.attachments.signed_urls import AttachmentLinks
from shopbell.conversations.customer_view import Line, State
from shopbell.http.request.fields import Fields
from shopbell.runtime import clock


class AttachmentOut(Fields):
    """The file of a message."""

    name: str = Field(examples=["receipt.pdf"])
    content_type: str = Field(examples=["application/pdf"])
    length_bytes: int = Field(examples=[48213])
    url: str = Field(description="A link to the file, which expires.", examples=["/attachments/…"])


class MessageOut(Fields):
    """A message of a conversation, as its customer sees it."""

    message_id: str = Field(examples=["12348"])
    sequence: int = Field(
        description="Its position in the conversation. Positions of internal notes are missing.", examples=[1]
    )
    from_customer: bool = Field(examples=[True])
    text: str = Field(examples=["Hello, I need help with my order."])
    created_at: int = Field(description="When it was stored, in Unix milliseconds.", examples=[1700000000000])
    employee_name: str | None = Field(
        description="The first name of the employee who wrote it, or `null`.", examples=[None]
    )
    channel: str = Field(description="`WEB`, `EMAIL`, `SMS` or `WHATSAPP`.", examples=["WEB"])
    attachment: AttachmentOut | None = Field(examples=[None])
    delivery: str | None = Field(
        description="`sent`, or `read` by the business. `null` for messages of the business.",
        examples=["sent"],
    )


def message_out(line: Line, state: State, base: str, links: AttachmentLinks) -> MessageOut:
    """Return a message as a browser sees it.

    Args:
        line: the message.
        state: the state of its thread.
        base: the base URL of this server.
        links: signs links to attachments.
    """
    delivery = None
    if line.from_customer:
        delivery = "read" if line.sequence <= state.read_by_store_sequence else "sent"
    return MessageOut(
        message_id=str(line.id),
        sequence=line.sequence,
        from_customer=line.from_customer,
        text=line.text,
        created_at=line.created_at_ms,
        employee_name=line.author,
        channel=line.channel,
        attachment=None if line.attachment is None else _attachment_out(line.attachment, base, links),
        delivery=delivery,
    )


def _attachment_out(file: Attachment, base: str, links: AttachmentLinks) -> AttachmentOut:
    link = links.link(base, file.uuid, file.name, now_ms=clock.now_ms())
    return AttachmentOut(name=file.name, content_type=file.content_type, length_bytes=file.length_bytes, url=link.url)
