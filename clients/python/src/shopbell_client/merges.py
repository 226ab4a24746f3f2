"""Merge customers who are the same person, and find possible duplicates."""

from dataclasses import dataclass, field

from shopbell_client.call import Call, Done, Id, Pages, pages, path_segment, post
from shopbell_client.shape import json_field


@dataclass(frozen=True, slots=True)
class Identity:
    """An email address or phone number of a customer.

    Args:
        kind: ``email`` or ``phone``.
        shown: as the customer first wrote it.
    """

    kind: str
    shown: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class MergeResult:
    """The result of a merge, or of its preview.

    Args:
        merge_id: the id for ``undo_merge``; None for a preview.
        customer_id: the customer who remains.
        merged_customer_id: the customer who is merged into that one.
        identities: addresses and numbers that the remaining customer gains.
        moving_thread_ids: conversations that move to the remaining customer.
        staying_thread_ids: conversations that do not move, since the remaining customer already has one with the same
            business.
        filled_fields: profile fields that are copied from the merged customer.
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
    """A past merge. Times are Unix milliseconds."""

    id: str
    customer_id: str
    merged_customer_id: str
    created_at_ms: int = json_field("createdAt")
    undoable_until_ms: int = json_field("undoableUntil")
    undone_at_ms: int | None = json_field("undoneAt")


@dataclass(frozen=True, slots=True, kw_only=True)
class PossibleDuplicate:
    """Two customers who may be the same person. The time is in Unix milliseconds."""

    customer_id: str
    other_customer_id: str
    found_at_ms: int = json_field("foundAt")


def merge_customers(customer_id: Id, other_customer_id: Id, *, preview: bool = False) -> Call[MergeResult]:
    """Merge two customers, or preview the merge.

    Args:
        customer_id: the customer who remains.
        other_customer_id: the customer to merge into that one. Their id remains valid for the merged customer.
        preview: return the result, but change nothing.

    Raises:
        NotFound: 404.
        Conflict: 409, the customers cannot be merged.
        ShopbellError: any other failure.
    """
    path = f"/api/customers/{path_segment(customer_id)}/merge"
    return post(path, MergeResult, otherCustomerId=other_customer_id, preview=preview)


def merges(*, page_size: int | None = None) -> Pages[Merge]:
    """List merges, newest first, including undone ones.

    Raises:
        ShopbellError: any failure, raised while iterating.
    """
    return pages("/api/customers/merges", "merges", Merge, limit=page_size)


def undo_merge(merge_id: Id) -> Call[Done]:
    """Undo a merge, within 30 days.

    Raises:
        NotFound: 404.
        Conflict: 409, it is too late, or later changes prevent it.
        ShopbellError: any other failure.
    """
    return post(f"/api/customers/merges/{path_segment(merge_id)}/undo", Done)


def possible_duplicates(*, page_size: int | None = None) -> Pages[PossibleDuplicate]:
    """List pairs of customers who may be the same person.

    Raises:
        ShopbellError: any failure, raised while iterating.
    """
    path = "/api/customers/possible-duplicates"
    return pages(path, "possibleDuplicates", PossibleDuplicate, limit=page_size)


def dismiss_duplicate(customer_id: Id, other_customer_id: Id) -> Call[Done]:
    """Remove a pair from the list of possible duplicates.

    Raises:
        NotFound: 404.
        ShopbellError: any other failure.
    """
    path = "/api/customers/possible-duplicates/dismiss"
    return post(path, Done, customerId=customer_id, otherCustomerId=other_customer_id)
