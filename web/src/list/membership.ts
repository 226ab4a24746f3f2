import type { InboxThread } from "../api/types"
import type { ViewName } from "../app/router"

export type Sort = "waiting" | "recent"

/** What a list shows: a view, filters and an order. */
export interface ListQuery {
  view: ViewName
  businessId: string | null
  assigneeUserId: string | null
  tagId: string | null
  channel: string | null
  sort: Sort
}

export const FILTERS = ["businessId", "assigneeUserId", "tagId", "channel"] as const

export function queryOf(view: ViewName, filters: URLSearchParams): ListQuery {
  const [businessId, assigneeUserId, tagId, channel] = FILTERS.map(name => filters.get(name))
  return {
    view,
    businessId: businessId ?? null,
    assigneeUserId: assigneeUserId ?? null,
    tagId: tagId ?? null,
    channel: channel ?? null,
    sort: filters.get("sort") === "recent" || view === "resolved" ? "recent" : "waiting",
  }
}

/** Whether a conversation is in a list, by the rules of `GET /api/inbox/threads`. */
export function belongs(row: InboxThread, query: ListQuery, own: string): boolean {
  return (
    isInView(row, query.view, own) &&
    (!query.businessId || row.businessId === query.businessId) &&
    (!query.assigneeUserId || row.assigneeUserId === query.assigneeUserId) &&
    (!query.tagId || row.tagIds.includes(query.tagId)) &&
    (!query.channel || row.channel === query.channel)
  )
}

function isInView(row: InboxThread, view: ViewName, own: string): boolean {
  const isSnoozed = row.snoozedUntil !== null
  const needsReply = row.status === "waiting" && !isSnoozed
  switch (view) {
    case "needs-reply":
      return needsReply
    case "mine":
      return row.assigneeUserId === own && row.status !== "resolved" && !isSnoozed
    case "unassigned":
      return needsReply && row.assigneeUserId === null
    case "mentions":
      return row.mentioned
    case "snoozed":
      return isSnoozed
    case "open":
      return row.status !== "resolved"
    case "resolved":
      return row.status === "resolved"
  }
}

/** The order of a list, by the rules of `GET /api/inbox/threads`. */
export function compare(sort: Sort): (one: InboxThread, other: InboxThread) => number {
  if (sort === "recent") return (one, other) => other.lastMessageAt - one.lastMessageAt || -byId(one, other)
  return (one, other) => {
    const [[part, place], [otherPart, otherPlace]] = [rank(one), rank(other)]
    return part - otherPart || place - otherPlace || byId(one, other)
  }
}

/** Who waits longest; then what has a reply, newest first; then what is snoozed, by its end; then what is resolved. */
function rank({ status, snoozedUntil, waitingSince, lastMessageAt }: InboxThread): [part: number, place: number] {
  if (status === "resolved") return [3, -lastMessageAt]
  if (snoozedUntil !== null) return [2, snoozedUntil]
  return status === "waiting" ? [0, waitingSince ?? lastMessageAt] : [1, -lastMessageAt]
}

function byId(one: InboxThread, other: InboxThread): number {
  return Number(one.customerThreadId) - Number(other.customerThreadId)
}
