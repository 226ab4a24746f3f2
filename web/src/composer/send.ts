import { type Signal, signal } from "@preact/signals"
import type { Attachment, Channel, Message, Mode } from "../api/types"
import { t } from "../app/i18n"
import { MESSAGE_MAX_CHARACTERS } from "../app/limits"
import { route } from "../app/router"
import { me } from "../app/session"
import { closeToast, shownToast, toast } from "../app/toast"
import { conversation } from "../conversation/cache"
import { endWriting } from "../conversation/presence"
import type { ShownThread } from "../conversation/shown"
import { attachmentsOf, clear, draftOf, restore } from "./drafts"
import { enqueue, onEnd, type Queued, withdraw } from "./queue"
import { mentionsIn } from "./suggestions"
import { gapsOf, toSend } from "./variables"

/** Conversations in which a message was not sent because a colleague had answered. */
export const unsent = signal<ReadonlySet<string>>(new Set())
const seen = new Map<string, Signal<number>>()

export interface How {
  channel: Channel | null
  resolve?: boolean
  sendAt?: number
  /** a reply becomes a note for colleagues */
  asNote?: boolean
}

/** Why what is written cannot be sent; null if it can. */
export function obstacle(threadId: string, mode: Mode): "empty" | "long" | "gap" | "uploading" | "failed" | null {
  const { text, files } = draftOf(threadId, mode).value
  if (files.some(each => each.state === "failed")) return "failed"
  if (files.some(each => each.state === "uploading")) return "uploading"
  if (gapsOf(text).length) return "gap"
  const toBeSent = toSend(text)
  // A code point has at least one unit, and only a text that may be too long is counted exactly.
  if (toBeSent.length > MESSAGE_MAX_CHARACTERS && [...toBeSent].length > MESSAGE_MAX_CHARACTERS) return "long"
  return toBeSent || files.length ? null : "empty"
}

/** Send what is written. Several files become several messages. */
export function sendDraft({ thread, customer }: ShownThread, mode: Mode, how: How): void {
  const threadId = thread.customerThreadId
  if (obstacle(threadId, mode)) return
  const draft = draftOf(threadId, mode).peek()
  const text = toSend(draft.text)
  const files = attachmentsOf(draft.files)
  const parts: (Attachment | null)[] = files.length ? files : [null]
  const kind = how.asNote ? "note" : mode
  const mentionedUserIds = kind === "note" ? [...new Set(mentionsIn(text).map(each => each.employeeUserId))] : []
  const sent = parts.map((attachment, i) =>
    enqueue({
      threadId,
      kind,
      text: i ? "" : text,
      attachment,
      channel: kind === "note" ? null : how.channel,
      resolve: how.resolve === true && i === parts.length - 1,
      sendAt: how.sendAt ?? null,
      lastSeenMessageId: lastSeen(threadId),
      mentionedUserIds: i ? [] : mentionedUserIds,
    }),
  )
  clear(threadId, mode)
  endWriting(threadId)
  if (kind === "note") return
  const name = customer.firstName ?? customer.displayName
  const undo = () => void takeBack(sent)
  if (how.sendAt) toast({ text: t("It will be sent to {name} later", { name }), undo })
  else saySent(sent, name, undo)
}

/** Say that messages are being sent, and in its place that they were, once they cannot be taken back any more. */
function saySent(sent: readonly Queued[], name: string, undo: () => void): void {
  const sending = { text: t("Sending to {name}…", { name }), undo }
  toast(sending)
  const left = new Set(sent.map(each => each.key))
  for (const key of [...left]) {
    onEnd(key, isSent => {
      if (isSent) left.delete(key)
      const now = shownToast.peek()
      if (now && now !== sending) return // something else has happened since
      if (!isSent) closeToast()
      else if (!left.size) toast({ text: t("Sent to {name}", { name }) })
    })
  }
}

/** Send a text that is no draft, such as a template, or one that has failed. */
export function sendText(threadId: string, text: string, more: Partial<Queued> = {}): void {
  enqueue({ threadId, kind: "reply", text, lastSeenMessageId: lastSeen(threadId), ...more })
}

async function takeBack(sent: readonly Queued[]): Promise<void> {
  const text: string[] = []
  const files: Attachment[] = []
  for (const item of sent.toReversed()) {
    if (!(await withdraw(item.key))) continue
    if (item.text) text.unshift(item.text)
    if (item.attachment) files.unshift(item.attachment)
  }
  const [first] = sent
  if (first && (text.length || files.length)) restore(first.threadId, "reply", text.join("\n\n"), files)
}

/** Up to which sequence the employee has seen a conversation; they answer what they have seen. */
function seenIn(threadId: string): Signal<number> {
  const found = seen.get(threadId) ?? signal(0)
  seen.set(threadId, found)
  return found
}

/** The replies of colleagues that came while the employee was writing theirs. */
export function answersSince(threadId: string, messages: readonly Message[]): Message[] {
  const from = seenIn(threadId).value
  return from ? messages.filter(each => each.sequence > from && isAnswer(each)) : []
}

/** Note what the employee sees. Who is writing has not seen the reply that a colleague sends at this moment. */
export function look(threadId: string, messages: readonly Message[]): void {
  const to = seenIn(threadId)
  const isWriting = to.peek() > 0 && draftOf(threadId, "reply").peek().text.trim() !== ""
  const answer = isWriting ? messages.find(each => each.sequence > to.peek() && isAnswer(each)) : undefined
  const upTo = answer ? answer.sequence - 1 : (messages.at(-1)?.sequence ?? 0)
  to.value = Math.max(to.peek(), upTo)
}

/** The employee has read what a colleague answered. */
export function acknowledge(threadId: string): void {
  seenIn(threadId).value = conversation(threadId).messages.peek().at(-1)?.sequence ?? 0
  unsent.value = new Set([...unsent.peek()].filter(each => each !== threadId))
}

/** Put a message back to its author, because a colleague has answered first. */
export function giveBack({ threadId, text, attachment, lastSeenMessageId }: Queued): void {
  const { messages, content } = conversation(threadId)
  const at = messages.peek().find(each => each.id === lastSeenMessageId)?.sequence
  if (at) seenIn(threadId).value = at
  unsent.value = new Set([...unsent.peek(), threadId])
  restore(threadId, "reply", text, attachment ? [attachment] : [])
  if (route.peek().threadId === threadId) return
  const name = content.peek()?.customer.displayName ?? ""
  toast({ text: t("A colleague has answered {name} first. Your message was not sent.", { name }), isError: true })
}

function isAnswer({ fromCustomer, internal, employeeUserId }: Message): boolean {
  return !fromCustomer && !internal && employeeUserId !== me.peek().employeeUserId
}

/** The last message that the employee has seen. */
function lastSeen(threadId: string): string | null {
  const upTo = seenIn(threadId).peek()
  const { messages } = conversation(threadId)
  return messages.peek().findLast(each => !upTo || each.sequence <= upTo)?.id ?? null
}
