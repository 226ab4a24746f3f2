"""Check a reply in an ordinary transaction, before it is stored or scheduled."""

from collections.abc import Collection

from sqlalchemy import Connection

from shopbell.attachments import attachments
from shopbell.conversations import templates
from shopbell.errors import NotFound
from shopbell.organizations import employees


def resolve_text(
    tx: Connection,
    organization_id: int,
    *,
    text: str | None,
    content_sid: str | None,
    employee_id: int | None,
    attachment_id: int | None,
    mentioned_ids: Collection[int] = (),
) -> str:
    """Return the text to send, and check that all ids belong to the organization.

    Args:
        text: the text; None for a template or a file alone.
        content_sid: the id of a template.
        mentioned_ids: the employees that a note mentions.

    Raises:
        NotFound: 404; an employee is not active, or there is no such file or template.
    """
    if employee_id is not None and not employees.is_active(tx, organization_id, employee_id):
        raise NotFound("employeeUserId")
    if attachment_id is not None and not attachments.exists(tx, organization_id, attachment_id):
        raise NotFound("attachmentId")
    if not all(employees.is_active(tx, organization_id, mentioned_id) for mentioned_id in mentioned_ids):
        raise NotFound("mentionedUserIds")
    if content_sid is None:
        return text or ""
    return templates.get(tx, organization_id, content_sid).text
