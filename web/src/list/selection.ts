import { computed, effect, signal, untracked } from "@preact/signals"
import type { Matching } from "../app/actions"
import { route } from "../app/router"
import { row } from "../app/rows"
import { FILTERS } from "./membership"
import { hasMore, isStillHere, loadMore, order, query } from "./store"

/** The row that the keys act on; it has the focus if the list has it. */
export const current = signal<string | null>(null)
/** The conversations that are chosen, for one action on all of them. */
export const chosen = signal<ReadonlySet<string>>(new Set())
/** Whether all that match are chosen, those that are not loaded, too. */
export const isAllChosen = signal(false)
/** Counts up whenever the focus shall go to the current row. */
export const focusRequest = signal(0)
export const canChooseMore = computed(
  () => hasMore.value && !isAllChosen.value && chosen.value.size === order.value.length,
)

let anchor: string | null = null

/** Forget what is not in the list any more, and keep a current row. */
export function followSelection(): void {
  let before: readonly string[] = []
  effect(() => {
    const ids = order.value
    const listed = new Set(ids)
    const kept = [...chosen.peek()].filter(id => listed.has(id))
    if (kept.length !== chosen.peek().size) chosen.value = new Set(kept)
    const id = current.peek()
    if (id && !listed.has(id)) {
      // The next one that is left takes its place; of one that was not in the list, the first.
      const at = Math.max(0, before.indexOf(id))
      current.value =
        before.slice(at).find(each => listed.has(each)) ??
        before.slice(0, at).findLast(each => listed.has(each)) ??
        ids[0] ??
        null
      if (document.activeElement?.closest(".rows")) focusRequest.value++
    } else if (!id) current.value = ids[0] ?? null
    before = ids
  })
  effect(() => {
    const { threadId } = route.value
    if (threadId) current.value = threadId
  })
  effect(() => {
    route.value // also of an open conversation
    clearChosen()
  })
  effect(() => {
    // Who comes near the end of the list gets more of it.
    if (order.value.indexOf(current.value ?? "") >= order.value.length - 10) untracked(() => void loadMore())
  })
}

/** The conversation that is some places before or after another one; at the ends of the list, the last there. */
export function neighbour(id: string | null, step: number): string | null {
  const ids = order.peek()
  const at = ids.indexOf(id ?? "")
  const now = ids.indexOf(current.peek() ?? "")
  // One that has left the list stood before the row that is current now.
  const place = at >= 0 ? at : now >= 0 ? now - 0.5 : step > 0 ? -1 : ids.length
  const to = (step > 0 ? Math.floor(place) : Math.ceil(place)) + step
  return ids[Math.max(0, Math.min(ids.length - 1, to))] ?? null
}

/** The conversation to go on to from another one: the next in the list; after the last one, the one before it. */
export function following(id: string): string | null {
  const ids = order.value
  const at = Math.max(0, ids.indexOf(ids.includes(id) ? id : (current.value ?? "")))
  const isLeft = (each: string) => {
    const thread = row(each)?.value
    return each !== id && !!thread && isStillHere(thread)
  }
  return ids.slice(at).find(isLeft) ?? ids.slice(0, at).findLast(isLeft) ?? null
}

/** Move the current row, and the focus with it. */
export function move(step: number, extend = false): void {
  const from = current.peek()
  // The first key only brings the focus into the list.
  const isInRows = !!document.activeElement?.closest(".rows")
  const to = from && !isInRows ? from : neighbour(from, step)
  if (!to) return
  if (extend) extendTo(from, to)
  else anchor = null
  current.value = to
  focusRequest.value++
}

function extendTo(from: string | null, to: string): void {
  anchor ??= from ?? to
  const ids = order.peek()
  const [start = 0, end = 0] = [ids.indexOf(anchor), ids.indexOf(to)].sort((one, other) => one - other)
  chosen.value = new Set(ids.slice(start, end + 1))
}

/** Choose a conversation, or no longer. With `extend`, all up to it from the one chosen before. */
export function toggle(id: string, extend = false): void {
  isAllChosen.value = false
  if (extend && anchor) {
    extendTo(anchor, id)
    return
  }
  const next = new Set(chosen.peek())
  if (!next.delete(id)) next.add(id)
  chosen.value = next
  anchor = id
}

export function chooseLoaded(): void {
  chosen.value = new Set(order.peek())
}

export function clearChosen(): void {
  chosen.value = new Set()
  isAllChosen.value = false
  anchor = null
}

/** What an action acts on: what is chosen, else the row with the focus, else the open conversation. */
export function targets(): readonly string[] | Matching {
  if (isAllChosen.peek()) return matching()
  if (chosen.peek().size) return [...chosen.peek()]
  const item = document.activeElement?.closest(".item") // it also contains the checkbox
  const focused = item?.querySelector<HTMLElement>("[data-thread]")?.dataset.thread
  const id = focused ?? route.peek().threadId ?? current.peek()
  return id ? [id] : []
}

function matching(): Matching {
  const found: Matching = { view: query.peek().view }
  for (const name of FILTERS) if (query.peek()[name]) found[name] = query.peek()[name] ?? ""
  return found
}
