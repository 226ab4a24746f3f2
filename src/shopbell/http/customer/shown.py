"""A conversation's messages as customers' browsers and apps get them."""

import time

from pydantic import Field

from shopbell.attachment_links import AttachmentLinks
from shopbell.attachments import Attachment
from shopbell.conversation import Line, State
from shopbell.http.api.fields import Fields


class ShownAttachment(Fields):
    """A file that a message carries."""

    name: str = Field(examples=["receipt.pdf"])
    content_type: str = Field(examples=["application/pdf"])
    length_bytes: int = Field(examples=[48213])
    url: str = Field(description="A link that leads to it for a while.", examples=["/attachments/…"])


class ShownMessage(Fields):
    """A message of a conversation, as its customer sees it."""

    message_id: str = Field(examples=["12348"])
    sequence: int = Field(
        description="Its place in the conversation. Places may be missing: what only employees see.", examples=[1]
    )
    from_customer: bool = Field(examples=[True])
    text: str = Field(examples=["Hello, I need help with my order."])
    created_at: int = Field(description="When it was stored, in Unix milliseconds.", examples=[1700000000000])
    employee_name: str | None = Field(
        description="The first name of the employee who wrote it, or `null`.", examples=[None]
    )
    channel: str = Field(description="`WEB`, `EMAIL`, `SMS` or `WHATSAPP`.", examples=["WEB"])
    attachment: ShownAttachment | None = Field(examples=[None])
    delivery: str | None = Field(
        description="Of the customer's own: `sent`, or `read` by the store; `null` of the store's.", examples=["sent"]
    )


def shown_line(line: Line, state: State, base: str, links: AttachmentLinks) -> ShownMessage:
    """A message as it is sent to a browser.

    Args:
        line: the message.
        state: how its thread stands.
        base: how this server is reached, from ``addresses.base_url``.
        links: makes links to attachments.
    """
    delivery = None
    if line.from_customer:
        delivery = "read" if line.sequence <= state.read_by_store_sequence else "sent"
    return ShownMessage(
        message_id=str(line.id),
        sequence=line.sequence,
        from_customer=line.from_customer,
        text=line.text,
        created_at=line.created_at_ms,
        employee_name=line.author,
        channel=line.channel,
        attachment=None if line.attachment is None else _shown_file(line.attachment, base, links),
        delivery=delivery,
    )


def _shown_file(file: Attachment, base: str, links: AttachmentLinks) -> ShownAttachment:
    link = links.link(base, file.uuid, file.name, now_ms=time.time_ns() // 1_000_000)
    return ShownAttachment(name=file.name, content_type=file.content_type, length_bytes=file.length_bytes, url=link.url)
