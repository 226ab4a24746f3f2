import { type Signal, signal } from "@preact/signals"
import type { InboxThread } from "../api/types"

/** How long a change stays after the server has made it, if no row of the server has it yet. */
const TRUSTED_MS = 5_000

/** A change of this employee that no row of the server has yet. */
interface Change {
  apply: (row: InboxThread) => Partial<InboxThread>
  /** the position of the row that it was made to: a row that has the change is newer */
  after: number
  /** the position of the feed when the server had made it: a later row has it */
  madeAt: number
}

/** What the server has sent, and our changes to it, the earliest first. */
interface Changed {
  sent: InboxThread
  changes: Change[]
}

/**
 * A change that is shown. Confirm it once the server has made it, with the position of the feed then if the response has
 * it, or revert it, for all rows or for some.
 */
export interface OpenChange {
  confirm: (position?: number) => void
  revert: (some?: readonly string[]) => void
}

/** Every conversation that was ever listed, by its id. Lists hold ids, so that a change redraws one row. */
const rows = new Map<string, Signal<InboxThread>>()
const changed = new Map<string, Changed>()
const listeners = new Set<(ids: string[], byUs: boolean) => void>()

/** The row of a conversation, if it was listed. */
export function row(id: string): Signal<InboxThread> | undefined {
  return rows.get(id)
}

/**
 * Keep rows that the server has sent. A row never goes back to an earlier position of the feed. A newer row may still
 * lack our change: then it is shown with the change.
 */
export function put(threads: InboxThread[]): void {
  const taken = threads.filter(thread => {
    const id = thread.customerThreadId
    const [known, open] = [rows.get(id), changed.get(id)]
    if (!known) rows.set(id, signal(thread))
    else if (thread.position < (open?.sent ?? known.peek()).position) return false
    else if (!open) known.value = thread
    else {
      open.sent = thread
      open.changes = open.changes.filter(isMissingIn(thread))
      show(id, open)
    }
    return true
  })
  tell(taken.map(thread => thread.customerThreadId))
}

/** Whether a row lacks a change. If it has a later change of the same fields, it does not lack the earlier one. */
function isMissingIn(row: InboxThread): (each: Change, at: number, all: Change[]) => boolean {
  const fields = ({ apply }: Change) => Object.keys(apply(row))
  const overwrites = (one: Change, other: Change) => fields(one).some(each => fields(other).includes(each))
  return (each, at, all) =>
    !isAfter(row, each) && !all.slice(at + 1).some(later => isAfter(row, later) && overwrites(later, each))
}

function isAfter(row: InboxThread, { apply, after, madeAt }: Change): boolean {
  if (row.position > madeAt) return true
  return row.position > after && JSON.stringify({ ...row, ...apply(row) }) === JSON.stringify(row)
}

function show(id: string, open: Changed): void {
  let shown = open.sent
  for (const { apply } of open.changes) shown = { ...shown, ...apply(shown) }
  const known = rows.get(id)
  if (known) known.value = shown
  if (!open.changes.length) changed.delete(id)
}

/** Show a change at once, before the server has made it. */
export function change(ids: readonly string[], apply: Change["apply"]): OpenChange {
  const made = new Map<string, Change>()
  for (const id of ids) {
    const known = rows.get(id)?.peek()
    if (!known) continue
    const open = changed.get(id) ?? { sent: known, changes: [] }
    const one = { apply, after: open.sent.position, madeAt: Number.POSITIVE_INFINITY }
    open.changes.push(one)
    changed.set(id, open)
    made.set(id, one)
    show(id, open)
  }
  tell([...made.keys()], true)
  const end = (some: readonly string[], byUs: boolean) => {
    const ended = some.filter(id => {
      const [open, one] = [changed.get(id), made.get(id)]
      const at = open && one ? open.changes.indexOf(one) : -1
      if (!open || at < 0) return false
      open.changes.splice(at, 1)
      show(id, open)
      return true
    })
    tell(ended, byUs)
  }
  return {
    confirm: position => {
      for (const [id, one] of made) {
        one.madeAt = position ?? one.madeAt
        const open = changed.get(id)
        if (open && isAfter(open.sent, one)) end([id], false)
      }
      setTimeout(() => end([...made.keys()], false), TRUSTED_MS)
    },
    revert: (some = [...made.keys()]) => end(some, true),
  }
}

/** Call back after rows have changed; `byUs` if this employee did it, in this tab. */
export function onRows(callback: (ids: string[], byUs: boolean) => void): void {
  listeners.add(callback)
}

function tell(ids: string[], byUs = false): void {
  if (ids.length) for (const listener of listeners) listener(ids, byUs)
}
