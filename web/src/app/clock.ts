import { signal } from "@preact/signals"

const EVERY_MS = 15_000
/** From then on, a wait is shown in brass. */
export const LATE_MS = 30 * 60_000

/** The time, in Unix ms, for ages that are shown: it moves every 15 seconds, and when the page is seen again. */
export const clock = signal(Date.now())

function tick(): void {
  clock.value = Date.now()
}

setInterval(tick, EVERY_MS)
addEventListener("visibilitychange", tick)
