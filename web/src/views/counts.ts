import { signal } from "@preact/signals"
import { get } from "../api/client"
import { newest } from "../api/newest"
import type { Counts } from "../api/types"

const EVERY_MS = 1_000

/** How many conversations each view has; empty until the first response. */
export const counts = signal<Counts>({ views: {}, businesses: [], savedViews: [] })

const readCounts = newest(counts, () => get<Counts>("api/inbox/counts"))
let last = 0
let isPlanned = false

/** Read the counts again, at most every second. */
export function refreshCounts(): void {
  if (isPlanned) return
  isPlanned = true
  setTimeout(read, Math.max(0, last + EVERY_MS - Date.now()))
}

function read(): void {
  isPlanned = false
  last = Date.now()
  void readCounts().catch(() => {}) // the old counts stay; the list says what is wrong
}
