"""Merge customers, and list customers that may be the same person."""

from typing import Annotated, Literal

from fastapi import APIRouter, Path
from pydantic import Field
from pydantic.alias_generators import to_camel

from shopbell.customers import duplicates, merges
from shopbell.customers.merges import Plan
from shopbell.http.api.customers import CustomerOfPath
from shopbell.http.request.caller import ReadsCustomers, WritesCustomers
from shopbell.http.request.fields import Fields, Id, PathId
from shopbell.http.request.json_body import Body, body_schema, json_body
from shopbell.http.request.paging import LIMIT_DEFAULT, Cursor, Limit, cursor_of, place_of
from shopbell.http.request.results import Ok

router = APIRouter(tags=["customers"])

MergeOfPath = Annotated[PathId, Path(alias="mergeId", description="The merge.", examples=["12370"])]


class MergeCustomers(Fields):
    """The other customer of a merge."""

    other_customer_id: Id = Field(
        description="The customer to merge into the one of the path. Its id then refers to that one.",
        examples=["12349"],
    )
    preview: bool | None = Field(None, description="`true`: change nothing, only return what a merge would do.")


class MovedIdentity(Fields):
    """An email address or a phone number of a customer."""

    kind: Literal["email", "phone"] = Field(examples=["email"])
    shown: str = Field(description="As first sent.", examples=["carol@example.com"])


class CustomersMerged(Fields):
    """The result of a merge or of a preview."""

    result: Literal["ok"] = Field("ok", examples=["ok"])
    merge_id: str | None = Field(description="The id for an undo; `null` for a preview.", examples=["12370"])
    customer_id: str = Field(description="The customer who remains.", examples=["12346"])
    merged_customer_id: str = Field(description="The customer who was merged into that one.", examples=["12349"])
    identities: list[MovedIdentity] = Field(description="The identities that move.")
    moving_thread_ids: list[str] = Field(description="Conversations that move.", examples=[["12350"]])
    staying_thread_ids: list[str] = Field(
        description="Conversations that stay, because the remaining customer already has one with that business. "
        "They are listed with the others; later messages go to the other conversation.",
        examples=[[]],
    )
    filled_fields: list[str] = Field(
        description="Empty fields of the profile that are filled from the other one.", examples=[["company"]]
    )


class CustomerMerge(Fields):
    """A merge. Times are Unix milliseconds."""

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
    """Two customers who may be the same person."""

    customer_id: str = Field(examples=["12346"])
    other_customer_id: str = Field(examples=["12349"])
    found_at: int = Field(description="In Unix milliseconds.", examples=[1700000000000])


class PossibleDuplicates(Fields):
    """A page of pairs, the newest customers first."""

    possible_duplicates: list[PossibleDuplicate]
    next_cursor: str | None = Field(description="The `cursor` of the next page; `null` on the last.", examples=[None])


class DismissDuplicate(Fields):
    """Two customers who are different people."""

    customer_id: Id = Field(description="One of the two.", examples=["12346"])
    other_customer_id: Id = Field(description="The other one.", examples=["12349"])


@router.post(
    "/api/customers/{customerId}/merge", openapi_extra=body_schema(MergeCustomers), summary="Merge two customers"
)
async def merge_customers(
    caller: WritesCustomers,
    customer_id: CustomerOfPath,
    body: Annotated[Body[MergeCustomers], json_body(MergeCustomers)],
) -> CustomersMerged:
    """Merge another customer into this one, or preview the merge without changing anything.

    Addresses, numbers and conversations of the other customer move to this one, and fill empty fields of its profile.
    Later messages go to this customer. A merge can be undone for 30 days. 409 if the other customer was merged before,
    if one of them was erased, or if only one of them is blocked.
    """
    other_id = body.fields.other_customer_id
    if body.fields.preview:
        return _merged(await caller.read(merges.preview, customer_id, other_id), None)
    plan, merge_id = await caller.write(merges.merge, customer_id, other_id, actor=caller.actor())
    return _merged(plan, merge_id)


@router.get("/api/customers/merges", summary="List merges")
async def list_customer_merges(
    caller: ReadsCustomers, cursor: Cursor = None, limit: Limit = LIMIT_DEFAULT
) -> CustomerMerges:
    """List all merges, including undone ones, the latest first."""
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
    """Undo a merge: everything that moved returns to the other customer.

    Messages since then stay in their conversation. If the customer was blocked since then, the other one is blocked
    too. 409 if the merge was undone before, if it is older than 30 days, or if later changes prevent it: the customer
    was merged again or erased, or two conversations with the same business would result.
    """
    await caller.write(merges.undo, merge_id, actor=caller.actor())
    return Ok()


@router.get("/api/customers/possible-duplicates", summary="List possible duplicates")
async def list_possible_duplicates(
    caller: ReadsCustomers, cursor: Cursor = None, limit: Limit = LIMIT_DEFAULT
) -> PossibleDuplicates:
    """List pairs of customers that may be the same person: a message had the address of one and the number of the
    other."""
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
    openapi_extra=body_schema(DismissDuplicate),
    summary="Dismiss a possible duplicate",
)
async def dismiss_possible_duplicate(
    caller: WritesCustomers, body: Annotated[Body[DismissDuplicate], json_body(DismissDuplicate)]
) -> Ok:
    """Remove a pair from the list. It returns if a message again has the address of one and the number of the other."""
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
