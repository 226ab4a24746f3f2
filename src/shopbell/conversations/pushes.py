"""The bodies that a push URL receives.

They contain messages to customers, for the servers of their apps.
"""

from sqlalchemy import Connection, and_, select

from shopbell.attachments.signed_urls import AttachmentLinks
from shopbell.conversations import customer_view
from shopbell.customers import canonical, customers
from shopbell.db.schema.core import employees, organizations
from shopbell.runtime.clock import now_ms
from shopbell.security.keys import Keys
from shopbell.settings.settings import Settings
from shopbell.webhooks.payloads import TEST_EVENT, EventFields, Push, push_body


class PushBodies:
    """Makes the bodies of pushes.

    ``webhooks/claim.py`` calls ``body_for`` for each delivery to a push URL.

    Args:
        settings: without a public URL, pushes have no links to pictures.
        keys: sign the links.
    """

    def __init__(self, settings: Settings, keys: Keys) -> None:
        self._base_url = str(settings.public_url).rstrip("/") if settings.public_url else None
        self._links = AttachmentLinks(keys, settings.attachment_link_s)

    def body_for(self, tx: Connection, event: EventFields) -> str | None:
        """The body of a push.

        Args:
            tx: the transaction.
            event: the event.

        Returns:
            The body; empty for a test, which is a health check by GET; None for events that are not pushed: all but
            messages from the business to the customer.
        """
        if event.event_type == TEST_EVENT:
            return ""
        if event.event_type != "message" or event.from_customer or event.internal:
            return None
        if event.customer_id is None or event.sent_at_ms is None:
            return None
        return push_body(self._push(tx, event, event.customer_id, event.sent_at_ms))

    def _push(self, tx: Connection, event: EventFields, customer_id: int, sent_at_ms: int) -> Push:
        o, e = organizations.c, employees.c
        author = and_(e.organization_id == o.id, e.id == event.employee_id)
        names = select(o.name, e.name).select_from(organizations).outerjoin(employees, author)
        organization, employee = tx.execute(names.where(o.id == event.organization_id)).one()
        customer_ids = canonical.merged_ids(tx, event.organization_id, customer_id)
        threads = [thread.id for thread in customers.threads_of(tx, event.organization_id, customer_ids)]
        summaries = customer_view.summaries(tx, event.organization_id, threads, limit=len(threads))
        return Push(
            customer_id=customer_ids[0],
            unread_count=sum(summary.unread_count for summary in summaries),
            sent_at_ms=sent_at_ms,
            organization_name=organization,
            employee_name=employee,
            text=event.text,
            attachment_name=event.attachment_name,
            attachment_type=event.attachment_type,
            picture_url=self._picture_url(event),
        )

    def _picture_url(self, event: EventFields) -> str | None:
        uuid, name, media_type = event.attachment_uuid, event.attachment_name, event.attachment_type
        if self._base_url is None or uuid is None or name is None or not (media_type or "").startswith("image/"):
            return None
        return self._links.link(self._base_url, uuid, name, now_ms=now_ms()).url
