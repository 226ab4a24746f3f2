"""Letters that arrive.

``python -m shopbell.channels.pigeon.inbound BUSINESS LOFT TEXT`` stores one.
"""

import sys

from sqlalchemy import Connection, select

from shopbell.conversations.receive import Incoming, create_inbound_message
from shopbell.customers.identities import find_or_create
from shopbell.db.connect import open_database
from shopbell.db.schema.core import businesses
from shopbell.runtime.clock import now_ms
from shopbell.settings.settings import load


def store(tx: Connection, business_id: int, loft: str, text: str) -> int:
    """Store a letter; returns its conversation."""
    organization_id = tx.execute(
        select(businesses.c.organization_id).where(businesses.c.id == business_id)
    ).scalar_one()
    customer_id = find_or_create(tx, organization_id, "loft", loft, now_ms=now_ms())
    return create_inbound_message(tx, Incoming(organization_id, customer_id, business_id, "PIGEON", text)).thread_id


if __name__ == "__main__":
    business, loft, text = sys.argv[1:]
    print(open_database(load()).write_now(store, int(business), loft, text))
