import type { Activity, Message, ScheduledMessage } from "../api/types"
import { isSameDay } from "../app/format"
import { keyOf, type Queued } from "../composer/queue"
import type { ShownThread } from "./shown"

/** What stands in the log, from the top to the bottom. */
export type Entry =
  | { type: "day"; key: string; at: number }
  | { type: "new"; key: string }
  /** `isMore`: by the author of the message before */
  | { type: "message"; key: string; message: Message; isMore: boolean; isLast: boolean; subject: string | null }
  | { type: "activity"; key: string; activity: Activity }
  | { type: "scheduled"; key: string; message: ScheduledMessage }
  | { type: "queued"; key: string; item: Queued }

/** Messages of one author within this time have one heading. */
const TOGETHER_MS = 10 * 60_000
/** How far the clocks of browser and server may be apart. */
const SKEW_MS = 5 * 60_000

/**
 * Order the messages of a conversation and what happened between them.
 * @param readTo the last message that the employee had read when they opened it
 */
export function entriesOf(
  content: ShownThread,
  messages: readonly Message[],
  activities: readonly Activity[],
  queued: readonly Queued[],
  readTo: number,
): Entry[] {
  const entries: Entry[] = []
  const left = [...activities]
  const lastOfOurs = messages.findLast(each => !each.fromCustomer && !each.internal)
  let before: Message | null = null
  let subject = ""
  let day = 0
  let isNew = false

  function separate(at: number): boolean {
    if (day && isSameDay(day, at)) return false
    day = at
    entries.push({ type: "day", key: `day ${new Date(at).toDateString()}`, at })
    return true
  }
  function happened(until: (activity: Activity) => boolean): void {
    for (let next = left[0]; next && until(next); next = left[0]) {
      left.shift()
      separate(next.at)
      entries.push({ type: "activity", key: `${next.type} ${next.at} ${left.length}`, activity: next })
      before = null
    }
  }

  for (const message of messages) {
    happened(({ afterSequence }) => afterSequence < message.sequence)
    if (separate(message.createdAt)) before = null
    if (!isNew && message.fromCustomer && message.sequence > readTo) {
      isNew = true
      if (entries.some(each => each.type === "message")) entries.push({ type: "new", key: "new" })
      before = null
    }
    const own = plainSubject(message)
    entries.push({
      type: "message",
      key: message.id,
      message,
      isMore: isTogether(before, message),
      isLast: message === lastOfOurs,
      subject: own && own !== subject ? (message.mail?.subject ?? null) : null,
    })
    if (own) subject = own
    before = message
  }
  happened(() => true)
  for (const message of content.scheduledMessages.toSorted((one, other) => one.sendAt - other.sendAt)) {
    if (message.state === "scheduled" || message.state === "refused") {
      entries.push({ type: "scheduled", key: `scheduled ${message.scheduledMessageId}`, message })
    }
  }
  for (const item of queued) {
    if (!isHere(item, content, messages)) entries.push({ type: "queued", key: item.key, item })
  }
  return entries
}

/** Whether the conversation already has a message whose confirmation is still on its way. */
function isHere(item: Queued, { scheduledMessages }: ShownThread, messages: readonly Message[]): boolean {
  if (item.state === "failed") return false
  const isSame = (each: Message | ScheduledMessage) =>
    each.text === item.text && each.employeeUserId === item.employeeUserId
  return (
    scheduledMessages.some(
      each =>
        isSame(each) &&
        (keyOf(each.scheduledMessageId) ?? item.key) === item.key &&
        each.createdAt > item.createdAt - SKEW_MS,
    ) ||
    messages.some(
      each => isSame(each) && each.sequence > item.afterSequence && each.internal === (item.kind === "note"),
    )
  )
}

function isTogether(before: Message | null, message: Message): boolean {
  return (
    before !== null &&
    !message.internal &&
    before.fromCustomer === message.fromCustomer &&
    before.internal === message.internal &&
    before.employeeUserId === message.employeeUserId &&
    message.createdAt - before.createdAt < TOGETHER_MS
  )
}

/** The subject of an email without `Re:` and the like. */
function plainSubject({ mail }: Message): string {
  return (mail?.subject ?? "").replace(/^(\s*\p{L}{1,4}\s*:)+/u, "").trim()
}
