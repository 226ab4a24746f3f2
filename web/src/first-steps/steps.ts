import { signal } from "@preact/signals"
import { get } from "../api/client"
import { newest } from "../api/newest"
import { on } from "../api/stream"
import type { FirstSteps } from "../api/types"
import { mayEverywhere, me } from "../app/session"

export type StepName = "business" | "widget" | "message" | "team" | "email"

/** Where a browser keeps that it no longer shows the steps: all were done, or the employee has hidden them. */
const hiddenKey = () => `shopbell.first-steps-hidden.${me.peek().organization.organizationId}`
const wereHidden = signal(false)

/** What the organization has already; null until it is known. */
export const firstSteps = signal<FirstSteps | null>(null)

const read = newest(firstSteps, () => get<FirstSteps>("api/inbox/first-steps"))

/** Whether the employee may do the steps, and has not hidden them. */
export function hasFirstSteps(): boolean {
  return !wereHidden.value && localStorage.getItem(hiddenKey()) === null && mayEverywhere("organization:manage")
}

export function hideFirstSteps(): void {
  wereHidden.value = true
  localStorage.setItem(hiddenKey(), "1")
}

/** Read what the organization has. If that fails, nothing changes. */
export async function readFirstSteps(): Promise<void> {
  await read().catch(() => {})
}

/**
 * Follow what is done elsewhere: a message arrives, the server starts again, the employee comes back from another tab.
 * @returns how to stop
 */
export function followFirstSteps(): () => void {
  const look = () => {
    if (!document.hidden) void readFirstSteps()
  }
  const ends = [on("inbox", look), on("resync", look)]
  document.addEventListener("visibilitychange", look)
  return () => {
    for (const end of ends) end()
    document.removeEventListener("visibilitychange", look)
  }
}

export function isDone(step: StepName, steps: FirstSteps): boolean {
  return {
    business: steps.hasBusiness,
    widget: steps.hasWidget,
    message: steps.hasConversation,
    team: steps.hasColleague,
    email: steps.sendsEmails,
  }[step]
}
