"""Customers who are one person, or may be."""

from dataclasses import dataclass, field

from shopbell.client.call import Call, Done, Id, Pages, pages, part, post
from shopbell.client.shape import named


@dataclass(frozen=True, slots=True)
class Identity:
    """Something that a customer is known by: its kind, ``email`` or ``phone``, and as it was first sent."""

    kind: str
    shown: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Merged:
    """What a merge did, or (as a preview) would do.

    Args:
        merge_id: what an undo names; None for a preview.
        customer_id: the customer who stays.
        merged_customer_id: the one who becomes him.
        identities: what the one who stays is now known by as well.
        moving_thread_ids: conversations that become his.
        staying_thread_ids: conversations with businesses with which he has one already.
        filled_fields: fields of his profile that come from the other's.
    """

    merge_id: str | None
    customer_id: str
    merged_customer_id: str
    identities: tuple[Identity, ...]
    moving_thread_ids: tuple[str, ...]
    staying_thread_ids: tuple[str, ...]
    filled_fields: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Merge:
    """A merge that was done. Times are Unix milliseconds."""

    id: str
    customer_id: str
    merged_customer_id: str
    created_at_ms: int = named("createdAt")
    undoable_until_ms: int = named("undoableUntil")
    undone_at_ms: int | None = named("undoneAt")


@dataclass(frozen=True, slots=True, kw_only=True)
class PossibleDuplicate:
    """Two customers that may be one person, found at a time in Unix milliseconds."""

    customer_id: str
    other_customer_id: str
    found_at_ms: int = named("foundAt")


def merge_customers(customer_id: Id, other_customer_id: Id, *, preview: bool = False) -> Call[Merged]:
    """Make two customers one, or say what that would do.

    Args:
        customer_id: who stays.
        other_customer_id: who becomes him: his id stands for that one from then on.
        preview: change nothing.

    Raises:
        NotFound: 404.
        Conflict: 409, they cannot be merged.
        ShopbellError: any other reason.
    """
    path = f"/api/customers/{part(customer_id)}/merge"
    return post(path, Merged, otherCustomerId=other_customer_id, preview=preview)


def merges(*, page_size: int | None = None) -> Pages[Merge]:
    """The merges of customers, the latest first, undone ones among them.

    Raises:
        ShopbellError: for any reason, at any step.
    """
    return pages("/api/customers/merges", "merges", Merge, limit=page_size)


def undo_merge(merge_id: Id) -> Call[Done]:
    """Take a merge back, within 30 days.

    Raises:
        NotFound: 404.
        Conflict: 409, it is too late, or what has happened since stands in the way.
        ShopbellError: any other reason.
    """
    return post(f"/api/customers/merges/{part(merge_id)}/undo", Done)


def possible_duplicates(*, page_size: int | None = None) -> Pages[PossibleDuplicate]:
    """Pairs of customers that may be one person.

    Raises:
        ShopbellError: for any reason, at any step.
    """
    path = "/api/customers/possible-duplicates"
    return pages(path, "possibleDuplicates", PossibleDuplicate, limit=page_size)


def dismiss_duplicate(customer_id: Id, other_customer_id: Id) -> Call[Done]:
    """Take a pair from that list.

    Raises:
        NotFound: 404.
        ShopbellError: any other reason.
    """
    path = "/api/customers/possible-duplicates/dismiss"
    return post(path, Done, customerId=customer_id, otherCustomerId=other_customer_id)
