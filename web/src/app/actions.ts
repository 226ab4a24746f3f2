import { ApiError, NoConnection, post } from "../api/client"
import type { Action, ActionResult, InboxThread, UndoResult } from "../api/types"
import { moment } from "./format"
import { n, t } from "./i18n"
import { change, type OpenChange, row } from "./rows"
import { businessOf, me, nameOf } from "./session"
import { closeToast, shownToast, toast } from "./toast"

/** All conversations that match a query, whether they are loaded or not. */
export interface Matching {
  view: string
  [filter: string]: string
}

/** An action that can be undone. */
interface Done {
  actionId: string
  /** null: all that matched */
  ids: readonly string[] | null
  /** says what was done to so many conversations */
  what: (count: number) => string
  /** how it shows until a row of the server has it */
  shown: OpenChange
}

let last: Done | null = null
const undone = new Set<(ids: readonly string[] | null) => Promise<void>>()

/** Call back when an action was undone, to read its rows again; with null if it was done to all that matched. */
export function onUndone(callback: (ids: readonly string[] | null) => Promise<void>): void {
  undone.add(callback)
}

/**
 * Do something to conversations, through `POST /api/inbox/bulk`. It shows at once, and can be undone.
 * @returns whether the server has done it; otherwise a toast says why not
 */
export async function act(action: Action, on: readonly string[] | Matching): Promise<boolean> {
  const ids = Array.isArray(on) ? (on as readonly string[]) : null
  if (ids && !ids.length) return false
  const shown = change(ids ?? [], thread => effect(action, thread))
  try {
    const body = { action, ...(ids ? { customerThreadIds: ids } : { filter: on }) }
    const done = await inOrder(() => post<ActionResult>("api/inbox/bulk", body))
    // The response names only the first hundred. If there are more, the stream shows again which ones were changed.
    shown.revert(done.failedCount > done.failed.length ? undefined : done.failed.map(each => each.customerThreadId))
    shown.confirm(done.position)
    if (action.type !== "read") report(action, done, ids, shown)
    return done.changed > 0
  } catch (error) {
    shown.revert()
    toast({ text: reason(error), isError: true })
    return false
  }
}

let before: Promise<unknown> = Promise.resolve()

/** Send one action after the other: an employee who moves a conversation and then snoozes it means this order. */
export function inOrder<T>(send: () => Promise<T>): Promise<T> {
  const sent = before.then(send)
  before = sent.catch(() => {})
  return sent
}

/** Undo the last action, if there is one; if it still runs, as soon as it is done. */
export async function undoLast(): Promise<void> {
  await before
  const shown = shownToast.peek()?.undo
  if (shown) {
    closeToast()
    shown()
  } else if (last) void undo(last)
}

function report(
  action: Action,
  { actionId, changed, failedCount }: ActionResult,
  ids: readonly string[] | null,
  shown: OpenChange,
): void {
  const name = (ids?.length === 1 && row(ids[0] ?? "")?.peek().customerName) || undefined
  const done: Done = { actionId, ids, what: count => said(action, count, name), shown }
  const text = changed || !failedCount ? done.what(changed) : t("Nothing was changed.")
  const more = failedCount
    ? n("{count} conversation could not be changed.", "{count} conversations could not be changed.", failedCount)
    : ""
  last = done
  toast({ text: both(text, more), undo: () => void undo(done) })
}

async function undo(done: Done): Promise<void> {
  const { actionId, ids, what, shown } = done
  if (last === done) last = null
  try {
    const { reversed, skipped } = await inOrder(() => post<UndoResult>("api/inbox/undo", { actionId }))
    const text = reversed ? t("Undone: {what}", { what: what(reversed) }) : t("Nothing was changed.")
    const more = skipped
      ? n(
          "{count} conversation has changed since and was skipped.",
          "{count} conversations have changed since and were skipped.",
          skipped,
        )
      : ""
    toast({ text: both(text, more) })
    // Not earlier: a row that was skipped would return to the list as it was before the action.
    await Promise.all([...undone].map(callback => callback(ids)))
    shown.revert()
  } catch (error) {
    toast({ text: reason(error), isError: true })
  }
}

/** What was done, and the sentence about the rest, if there is one. */
function both(text: string, more: string): string {
  return more ? `${text.replace(/\.$/, "")}. ${more}` : text
}

/** What an action changes in a row, as the server will. */
function effect(action: Action, { tagIds }: InboxThread): Partial<InboxThread> {
  switch (action.type) {
    case "status":
      return {
        status: action.status,
        ...(action.status === "waiting" ? {} : { waitingSince: null, snoozedUntil: null }),
      }
    case "assign":
      return { assigneeUserId: action.assigneeUserId }
    case "snooze":
      return { snoozedUntil: action.until }
    case "unsnooze":
      return { snoozedUntil: null }
    case "tags":
      return { tagIds: [...new Set([...tagIds, ...action.addTagIds])].filter(id => !action.removeTagIds.includes(id)) }
    case "transfer":
      return { businessId: action.businessId }
    case "read":
      return { unread: false, mentioned: false }
    case "unread":
      return { unread: true }
  }
}

/** What was done, with the name of the customer if there is one conversation. */
function said(action: Action, count: number, name?: string): string {
  const values = { name: name ?? "" }
  switch (action.type) {
    case "status":
      if (action.status !== "resolved") {
        return name
          ? t("{name}: reopened", values)
          : n("{count} conversation reopened", "{count} conversations reopened", count)
      }
      return name
        ? t("{name}: resolved", values)
        : n("{count} conversation resolved", "{count} conversations resolved", count)
    case "assign": {
      const to = action.assigneeUserId
      if (!to) {
        return name
          ? t("{name}: no longer assigned", values)
          : n("{count} conversation is no longer assigned", "{count} conversations are no longer assigned", count)
      }
      const employee = to === me.peek().employeeUserId ? t("you") : (nameOf(to) ?? "")
      return name
        ? t("{name}: assigned to {employee}", { ...values, employee })
        : n("{count} conversation assigned to {employee}", "{count} conversations assigned to {employee}", count, {
            employee,
          })
    }
    case "snooze": {
      const time = moment(action.until, Date.now())
      return name
        ? t("{name}: snoozed until {time}", { ...values, time })
        : n("{count} conversation snoozed until {time}", "{count} conversations snoozed until {time}", count, { time })
    }
    case "unsnooze":
      return name
        ? t("{name}: no longer snoozed", values)
        : n("{count} conversation is no longer snoozed", "{count} conversations are no longer snoozed", count)
    case "tags":
      return name
        ? t("{name}: tags changed", values)
        : n("Tags of {count} conversation changed", "Tags of {count} conversations changed", count)
    case "transfer": {
      const business = businessOf(action.businessId)?.name ?? ""
      return name
        ? t("{name}: moved to {business}", { ...values, business })
        : n("{count} conversation moved to {business}", "{count} conversations moved to {business}", count, {
            business,
          })
    }
    case "read":
    case "unread":
      return name
        ? t("{name}: marked as unread", values)
        : n("{count} conversation marked as unread", "{count} conversations marked as unread", count)
  }
}

/** Why a request failed, for people. */
export function reason(error: unknown): string {
  if (error instanceof NoConnection) return t("There is no connection. Please try again.")
  if (error instanceof ApiError && error.status === 403) return t("Your role does not allow this.")
  if (error instanceof ApiError && error.status === 401) return t("Your session has ended")
  if (error instanceof ApiError && error.status === 429) return t("Too many requests. Please wait a moment.")
  return t("Something went wrong. Please try again.")
}
