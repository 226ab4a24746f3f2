import { effect, signal } from "@preact/signals"
import type { Mode } from "../api/types"
import { t } from "./i18n"
import { route } from "./router"

/** Asks the composer of a conversation to take the focus. It comes later than the request if it is not loaded yet. */
export const composerRequest = signal<{ threadId: string; mode: Mode } | null>(null)

/** Takes what is typed until the composer is there: those letters would be commands. */
let early: HTMLTextAreaElement | undefined

/** Let the employee write in a conversation that is open, or is being opened. */
export function requestComposer(threadId: string, mode: Mode): void {
  endRequest()
  composerRequest.value = { threadId, mode }
  if (!composerRequest.peek()) return // the composer has taken it
  early = document.createElement("textarea")
  early.className = "unseen"
  early.setAttribute("aria-label", mode === "note" ? t("Note") : t("Reply"))
  early.addEventListener("keydown", event => {
    if (event.key === "Escape") endRequest()
  })
  document.body.append(early)
  early.focus({ preventScroll: true })
}

/** End the request, because it is fulfilled or cannot be. Returns what was typed since. */
export function endRequest(): string {
  const typed = early?.value ?? ""
  early?.remove()
  early = undefined
  composerRequest.value = null
  return typed
}

// Who goes elsewhere does not want to write there any more.
effect(() => {
  const wanted = composerRequest.value
  if (wanted && wanted.threadId !== route.value.threadId) endRequest()
})
