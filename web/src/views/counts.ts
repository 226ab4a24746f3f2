import { signal } from "@preact/signals"
import { get, isPassing, retryMs } from "../api/client"
import { newest } from "../api/newest"
import type { Counts } from "../api/types"

const EVERY_MS = 1_000

/** How many conversations each view has; empty until the first response. */
export const counts = signal<Counts>({ views: {}, businesses: [], savedViews: [] })

const readCounts = newest(counts, () => get<Counts>("api/inbox/counts"))
let last = 0
let isPlanned = false
/** How often they could not be read since they were read last. */
let failures = 0

/** Read the counts again, at most every second. */
export function refreshCounts(): void {
  if (isPlanned) return
  isPlanned = true
  setTimeout(read, Math.max(0, last + EVERY_MS - Date.now()))
}

function read(): void {
  isPlanned = false
  last = Date.now()
  readCounts().then(
    () => {
      failures = 0
    },
    error => {
      // The old counts stay; the list says what is wrong.
      if (isPassing(error)) setTimeout(refreshCounts, retryMs(failures++))
    },
  )
}
