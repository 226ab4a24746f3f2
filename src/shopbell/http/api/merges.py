"""Merges of customers, and the pairs of customers that may be one person."""

from typing import Annotated, Literal

from fastapi import APIRouter, Path
from pydantic import Field
from pydantic.alias_generators import to_camel

from shopbell import duplicates, merges
from shopbell.http.api.access import ReadsCustomers, WritesCustomers
from shopbell.http.api.body import Body, described, takes
from shopbell.http.api.customers import CustomerOfPath
from shopbell.http.api.fields import Fields, Id, PathId
from shopbell.http.api.paging import LIMIT_DEFAULT, Cursor, Limit, cursor_of, place_of
from shopbell.http.api.results import Ok
from shopbell.merges import Plan

router = APIRouter(tags=["customers"])

MergeOfPath = Annotated[PathId, Path(alias="mergeId", description="The merge.", examples=["12370"])]


class MergeCustomers(Fields):
    """Another customer who is the same person."""

    other_customer_id: Id = Field(
        description="The customer who becomes the one of the path: his id stands for that one from then on.",
        examples=["12349"],
    )
    preview: bool | None = Field(None, description="`true`: change nothing, only say what a merge would do.")


class MovedIdentity(Fields):
    """Something that a customer is known by."""

    kind: Literal["email", "phone"] = Field(examples=["email"])
    shown: str = Field(description="As it was first sent.", examples=["carol@example.com"])


class CustomersMerged(Fields):
    """What a merge did, or (a preview) would do."""

    result: Literal["ok"] = Field("ok", examples=["ok"])
    merge_id: str | None = Field(description="What an undo names; `null` for a preview.", examples=["12370"])
    customer_id: str = Field(description="The customer who stays.", examples=["12346"])
    merged_customer_id: str = Field(description="The one who becomes him.", examples=["12349"])
    identities: list[MovedIdentity] = Field(description="What he is now known by as well.")
    moving_thread_ids: list[str] = Field(description="Conversations that become his.", examples=[["12350"]])
    staying_thread_ids: list[str] = Field(
        description="Conversations with businesses with which he has one already. They stay as they are and are listed "
        "with his; later messages come in his own.",
        examples=[[]],
    )
    filled_fields: list[str] = Field(
        description="Fields of his profile that were empty and come from the other's.", examples=[["company"]]
    )


class CustomerMerge(Fields):
    """A merge that was done. Times are Unix milliseconds."""

    id: str = Field(examples=["12370"])
    customer_id: str = Field(examples=["12346"])
    merged_customer_id: str = Field(examples=["12349"])
    created_at: int = Field(examples=[1700000000000])
    undoable_until: int = Field(description="30 days later.", examples=[1702592000000])
    undone_at: int | None = Field(examples=[None])


class CustomerMerges(Fields):
    """A page of merges, the latest first."""

    merges: list[CustomerMerge]
    next_cursor: str | None = Field(description="The `cursor` of the next page; `null` on the last.", examples=[None])


class PossibleDuplicate(Fields):
    """Two customers that may be one person."""

    customer_id: str = Field(examples=["12346"])
    other_customer_id: str = Field(examples=["12349"])
    found_at: int = Field(description="In Unix milliseconds.", examples=[1700000000000])


class PossibleDuplicates(Fields):
    """A page of pairs, those of the newest customers first."""

    possible_duplicates: list[PossibleDuplicate]
    next_cursor: str | None = Field(description="The `cursor` of the next page; `null` on the last.", examples=[None])


class DismissDuplicate(Fields):
    """Two customers who are not one person."""

    customer_id: Id = Field(description="One of the two.", examples=["12346"])
    other_customer_id: Id = Field(description="The other one.", examples=["12349"])


@router.post(
    "/api/customers/{customerId}/merge", openapi_extra=described(MergeCustomers), summary="Merge two customers"
)
async def merge_customers(
    caller: WritesCustomers, customer_id: CustomerOfPath, body: Annotated[Body[MergeCustomers], takes(MergeCustomers)]
) -> CustomersMerged:
    """Make two customers one, or (`preview`) say what that would do and change nothing.

    The other's addresses and numbers become this customer's, so that later messages come to him; so do the other's
    conversations, and what this profile lacks. It can be undone for 30 days. 409 when the other was merged before, when
    one of them was erased, and when only one of them is blocked.
    """
    other_id = body.fields.other_customer_id
    if body.fields.preview:
        return _merged(await caller.read(merges.preview, customer_id, other_id), None)
    plan, merge_id = await caller.write(merges.merge, customer_id, other_id, caller.name)
    return _merged(plan, merge_id)


@router.get("/api/customers/merges", summary="List merges")
async def list_customer_merges(
    caller: ReadsCustomers, cursor: Cursor = None, limit: Limit = LIMIT_DEFAULT
) -> CustomerMerges:
    """List the merges of customers, the latest first, undone ones too."""
    place = place_of(cursor, int)
    before_id = None if place is None else int(place[0])
    found = await caller.read(merges.find_page, before_id=before_id, limit=limit + 1)
    page = found[:limit]
    return CustomerMerges(
        merges=[
            CustomerMerge(
                id=str(each.id),
                customer_id=str(each.kept_customer_id),
                merged_customer_id=str(each.merged_customer_id),
                created_at=each.created_at_ms,
                undoable_until=each.undoable_until_ms,
                undone_at=each.undone_at_ms,
            )
            for each in page
        ],
        next_cursor=cursor_of(page[-1].id) if len(found) > limit else None,
    )


@router.post("/api/customers/merges/{mergeId}/undo", summary="Undo a merge")
async def undo_customer_merge(caller: WritesCustomers, merge_id: MergeOfPath) -> Ok:
    """Take a merge back: what moved returns, and the other customer is himself again.

    What was written since stays in the conversation that it was written in. If the customer is blocked by now, so is
    the one who returns. 409 when it was undone before, after 30 days, and when what has happened since stands in the
    way: the customer was merged on or erased, or a conversation would meet another one with the same business.
    """
    await caller.write(merges.undo, merge_id, caller.name)
    return Ok()


@router.get("/api/customers/possible-duplicates", summary="List possible duplicates")
async def list_possible_duplicates(
    caller: ReadsCustomers, cursor: Cursor = None, limit: Limit = LIMIT_DEFAULT
) -> PossibleDuplicates:
    """List pairs of customers that may be one person: somebody sent the address of one with the number of the other."""
    place = place_of(cursor, int, int)
    before = None if place is None else (int(place[0]), int(place[1]))
    found = await caller.read(duplicates.find_page, before=before, limit=limit + 1)
    page = found[:limit]
    return PossibleDuplicates(
        possible_duplicates=[
            PossibleDuplicate(
                customer_id=str(pair.customer_id),
                other_customer_id=str(pair.other_customer_id),
                found_at=pair.found_at_ms,
            )
            for pair in page
        ],
        next_cursor=cursor_of(*page[-1].place) if len(found) > limit else None,
    )


@router.post(
    "/api/customers/possible-duplicates/dismiss",
    openapi_extra=described(DismissDuplicate),
    summary="Dismiss a possible duplicate",
)
async def dismiss_possible_duplicate(
    caller: WritesCustomers, body: Annotated[Body[DismissDuplicate], takes(DismissDuplicate)]
) -> Ok:
    """Take a pair from the list. It comes back when somebody sends the address of one with the number of the other."""
    await caller.write(duplicates.dismiss, body.fields.customer_id, body.fields.other_customer_id)
    return Ok()


def _merged(plan: Plan, merge_id: int | None) -> CustomersMerged:
    return CustomersMerged(
        merge_id=None if merge_id is None else str(merge_id),
        customer_id=str(plan.kept.id),
        merged_customer_id=str(plan.merged.id),
        identities=[
            MovedIdentity(kind=each.kind, shown=each.shown)  # type: ignore[arg-type]  # the table takes no other
            for each in plan.identities
        ],
        moving_thread_ids=[str(id_) for id_ in plan.moving_thread_ids],
        staying_thread_ids=[str(id_) for id_ in plan.staying_thread_ids],
        filled_fields=[to_camel(name) for name in plan.filled_fields],
    )
