import { type Signal, signal } from "@preact/signals"
import { on } from "../api/stream"
import type { PresenceState, Viewer } from "../api/types"
import { me, nameOf } from "./session"
import { tick } from "./tick"

/** An employee who does not repeat the signal counts as gone. */
const FORGOTTEN_MS = 15_000

export interface Colleague extends Viewer {
  name: string
}

const here = new Map<string, Signal<readonly Colleague[]>>()
const leaving = new Map<string, ReturnType<typeof setTimeout>>()
/** When the last signal about an employee in a conversation came, by `tick`. */
const heard = new Map<string, number>()

/** The other employees who have a conversation open, in the order in which they came. */
export function colleaguesAt(threadId: string): Signal<readonly Colleague[]> {
  const found = here.get(threadId) ?? signal([])
  here.set(threadId, found)
  return found
}

/**
 * Record who has a conversation open, as the server says. A signal that has come since the request counts more.
 * @param askedAt when the request was sent, by `tick`
 */
export function recordViewers(threadId: string, viewers: readonly Viewer[], askedAt: number): void {
  for (const { employeeUserId, state } of viewers) {
    if ((heard.get(`${threadId} ${employeeUserId}`) ?? 0) < askedAt) noteColleague(threadId, employeeUserId, state)
  }
}

/** Record what another employee does in a conversation. */
function noteColleague(threadId: string, employeeUserId: string, state: PresenceState, name?: string): void {
  if (employeeUserId === me.peek().employeeUserId) return
  const key = `${threadId} ${employeeUserId}`
  clearTimeout(leaving.get(key))
  leaving.delete(key)
  const at = colleaguesAt(threadId)
  const known = at.peek().find(each => each.employeeUserId === employeeUserId)
  if (state === "left") {
    if (known) at.value = at.peek().filter(each => each !== known)
    return
  }
  leaving.set(
    key,
    setTimeout(() => noteColleague(threadId, employeeUserId, "left"), FORGOTTEN_MS),
  )
  if (known?.state === state) return
  const now = { employeeUserId, state, name: name ?? nameOf(employeeUserId) ?? "" }
  at.value = known ? at.peek().map(each => (each === known ? now : each)) : [...at.peek(), now]
}

for (const type of ["viewing", "writing"]) {
  on(type, data => {
    const [threadId, employeeUserId] = [String(data.customerThreadId), String(data.employeeUserId)]
    heard.set(`${threadId} ${employeeUserId}`, tick())
    noteColleague(threadId, employeeUserId, data.state as PresenceState, data.name as string | undefined)
  })
}
