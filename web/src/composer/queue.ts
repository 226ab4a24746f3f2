import { signal } from "@preact/signals"
import { ApiError, isPassing, onReturn, post, retryMs } from "../api/client"
import { on } from "../api/stream"
import type { Attachment, Channel } from "../api/types"
import { t } from "../app/i18n"
import { me } from "../app/session"
import { toast } from "../app/toast"
import { conversation, invalidate, onRead } from "../conversation/cache"
import { drop, keep, keptUnder } from "./kept"

/** How long a message can be taken back; the server holds it that long. */
const UNDO_MS = 5_000
/** The server forgets idempotency keys after a day: an older message could be sent twice. */
const SAFE_MS = 20 * 3_600_000
const PREFIX = "queue:"

/** Why a message is not sent. The first three pass by themselves. */
export type Reason = "connection" | "server" | "session" | "old" | "window" | "erased" | "forbidden" | "refused"

/** A message that the server has not confirmed, or that does not show yet. */
export interface Queued {
  /** the idempotency key */
  key: string
  employeeUserId: string
  threadId: string
  kind: "reply" | "note"
  text: string
  contentSid: string | null
  attachment: Attachment | null
  channel: Channel | null
  resolve: boolean
  /** when to send it; null: now, with some seconds to take it back */
  sendAt: number | null
  lastSeenMessageId: string | null
  /** the last message when it was written: it comes after that one */
  afterSequence: number
  mentionedUserIds: readonly string[]
  createdAt: number
  /** `accepted`: the server has it */
  state: "waiting" | "failed" | "accepted"
  reason: Reason | null
  attempts: number
  isWithdrawn: boolean
  scheduledMessageId: string | null
}

type NewMessage = Pick<Queued, "threadId" | "kind" | "text" | "lastSeenMessageId"> & Partial<Queued>

/** All such messages of the employee, in order. */
export const queue = signal<readonly Queued[]>([])

const sending = new Set<string>()
/** Messages that the browser has not stored: they would be lost with the page. */
const unstored = new Set<string>()
/** What this page has sent, by the id under which the server holds it. */
const sent = new Map<string, Queued>()
/** What to do about messages that have ended before the response with their id has come. */
const early = new Map<string, (item: Queued) => void>()
/** Who waits for the end of a message, by its key. */
const waiting = new Map<string, (isSent: boolean) => void>()
let giveBack: (item: Queued) => void = () => {}
let retries = 0
let retry: ReturnType<typeof setTimeout> | undefined

/**
 * Begin to send: also what an earlier page has left.
 * @param answeredFirst called with a message that was not sent because a colleague has answered
 */
export async function startQueue(answeredFirst: (item: Queued) => void): Promise<void> {
  giveBack = answeredFirst
  onRead(id => {
    const keys = queue.peek().filter(each => each.threadId === id && each.state === "accepted")
    return () => forget(keys.map(each => each.key))
  })
  onReturn(sendAll)
  on("ready", sendAll)
  on("scheduled", ({ scheduledMessageId, state, reason }) => {
    if (state === "scheduled") return
    const id = String(scheduledMessageId)
    const ended = (item: Queued) => {
      end(item.key, state === "sent")
      if (state === "refused" && reason === "answered") void takeOut(item, id)
    }
    const item = sent.get(id)
    if (item) ended(item)
    else if (sending.size) early.set(id, ended)
  })
  addEventListener("online", sendAll)
  addEventListener("beforeunload", event => {
    if (queue.peek().some(each => each.state !== "accepted" && unstored.has(each.key))) event.preventDefault()
  })
  const left = await keptUnder<Queued>(PREFIX)
  const known = new Set(queue.peek().map(each => each.key))
  const mine = left
    .filter(each => each.employeeUserId === me.peek().employeeUserId && !known.has(each.key))
    // The earlier page may have sent it, and been closed before that was stored.
    .map(each => ({ ...each, attempts: Math.max(1, each.attempts) }))
  if (!mine.length) return
  queue.value = [...mine, ...queue.peek()].sort((one, other) => one.createdAt - other.createdAt)
  sendAll()
}

/**
 * Send a message. It shows at once. The browser stores it while it is sent, and keeps it until the server has it: an
 * employee who closes the page has sent it, or their next page does.
 */
export function enqueue(message: NewMessage): Queued {
  const item: Queued = {
    key: crypto.randomUUID(),
    employeeUserId: me.peek().employeeUserId,
    contentSid: null,
    attachment: null,
    channel: null,
    resolve: false,
    sendAt: null,
    afterSequence: conversation(message.threadId).messages.peek().at(-1)?.sequence ?? 0,
    mentionedUserIds: [],
    createdAt: Date.now(),
    state: "waiting",
    reason: null,
    attempts: 0,
    isWithdrawn: false,
    scheduledMessageId: null,
    ...message,
  }
  queue.value = [...queue.peek(), item]
  unstored.add(item.key)
  void store(item)
  void send(item.threadId)
  return item
}

/** Call back once: when a message of this page is sent, or when it will not be sent any more. */
export function onEnd(key: string, callback: (isSent: boolean) => void): void {
  waiting.set(key, callback)
}

function end(key: string, isSent: boolean): void {
  waiting.get(key)?.(isSent)
  waiting.delete(key)
}

/** Try again to send a message that has failed. */
export function tryAgain(key: string): void {
  const item = find(key)
  if (!item) return
  // One that the server refused was not stored, so that its key is free; after a day, the key is forgotten.
  const isOld = Date.now() - item.createdAt > SAFE_MS
  change(key, { state: "waiting", reason: null, ...(isOld ? { createdAt: Date.now() } : {}) })
  void send(item.threadId)
}

/**
 * Take a message back.
 * @returns whether it will not be sent
 */
export async function withdraw(key: string): Promise<boolean> {
  const held = [...sent].find(([, each]) => each.key === key)
  if (held) return cancel(held[1].threadId, held[0])
  const item = find(key)
  if (!item || item.state === "accepted") return false
  if (!item.attempts || item.state !== "waiting" || item.kind === "note") {
    forget([key])
    return true
  }
  // The server may have it or not: with the same key, it tells which, and then cancels it.
  change(key, { isWithdrawn: true })
  void send(item.threadId)
  return true
}

/** Cancel a message that the server holds. Returns whether that succeeded. */
export async function cancel(threadId: string, scheduledMessageId: string): Promise<boolean> {
  try {
    await post(`api/scheduled-messages/${scheduledMessageId}/cancel`, {})
    return true
  } catch (error) {
    const isSent = error instanceof ApiError && error.status === 409
    toast({ text: isSent ? t("It was already sent.") : t("It could not be taken back."), isError: true })
    return false
  } finally {
    void invalidate(threadId)
  }
}

/** Which message of this page the server holds under an id. */
export function keyOf(scheduledMessageId: string): string | undefined {
  return sent.get(scheduledMessageId)?.key
}

export function find(key: string): Queued | undefined {
  return queue.peek().find(each => each.key === key)
}

/** Forget messages, here and in the storage of the browser. */
export function forget(keys: readonly string[]): void {
  if (!keys.length) return
  queue.value = queue.peek().filter(each => !keys.includes(each.key))
  for (const key of keys) void drop(PREFIX + key)
}

function change(key: string, to: Partial<Queued>): void {
  queue.value = queue.peek().map(each => (each.key === key ? { ...each, ...to } : each))
  const item = find(key)
  if (item) void (item.state === "accepted" ? drop(PREFIX + key) : store(item))
}

async function store(item: Queued): Promise<void> {
  if (await keep(PREFIX + item.key, item)) unstored.delete(item.key)
}

function sendAll(): void {
  clearTimeout(retry)
  for (const threadId of new Set(queue.peek().map(each => each.threadId))) void send(threadId)
}

/** Send what waits in a conversation, one after the other. */
async function send(threadId: string): Promise<void> {
  if (sending.has(threadId)) return
  sending.add(threadId)
  try {
    for (;;) {
      const next = queue.peek().find(each => each.threadId === threadId && each.state === "waiting")
      if (!next) break
      if (!(await attempt(next))) return
      retries = 0
    }
  } finally {
    sending.delete(threadId)
    if (!sending.size) early.clear()
  }
}

/** Returns whether the next message can be sent. */
async function attempt(item: Queued): Promise<boolean> {
  const { key, threadId } = item
  if (item.attempts && Date.now() - item.createdAt > SAFE_MS) {
    change(key, { state: "failed", reason: "old" })
    return true
  }
  change(key, { attempts: item.attempts + 1 })
  try {
    const done = await post<{ scheduledMessageId?: string }>(pathOf(item), bodyOf(item), {
      idempotencyKey: key,
      keepalive: true,
    })
    const scheduledMessageId = done.scheduledMessageId ?? null
    if (find(key)?.isWithdrawn && scheduledMessageId) {
      forget([key])
      void cancel(threadId, scheduledMessageId)
      return true
    }
    if (scheduledMessageId) sent.set(scheduledMessageId, item)
    change(key, { state: "accepted", reason: null, scheduledMessageId })
    if (scheduledMessageId) early.get(scheduledMessageId)?.(item)
    await invalidate(threadId, true)
    return true
  } catch (error) {
    return refused(item, error)
  }
}

/** A message was refused at its time: it goes back to its author. */
async function takeOut(item: Queued, scheduledMessageId: string): Promise<void> {
  if (await cancel(item.threadId, scheduledMessageId)) giveBack(item)
}

async function refused(item: Queued, error: unknown): Promise<boolean> {
  const { key } = item
  const status = error instanceof ApiError ? error.status : 0
  if (isPassing(error)) {
    change(key, { reason: status ? "server" : "connection" })
    clearTimeout(retry)
    retry = setTimeout(sendAll, retryMs(retries++))
    return false
  }
  if (status === 401) {
    change(key, { reason: "session" })
    return false
  }
  if (find(key)?.isWithdrawn) {
    forget([key])
    return true
  }
  end(key, false)
  const reason = status === 409 ? await conflictOf(item) : status === 403 || status === 404 ? "forbidden" : "refused"
  if (reason) {
    change(key, { state: "failed", reason })
    return true
  }
  forget([key])
  giveBack(item)
  return false
}

/** What the conversation says to a 409; null if a colleague has answered. */
async function conflictOf({ threadId, channel, contentSid }: Queued): Promise<Reason | null> {
  const { content } = conversation(threadId)
  await invalidate(threadId, true)
  const now = content.peek()
  if (now?.customer.editable === false) return "erased"
  const isWhatsApp = (channel ?? now?.thread.channel) === "WHATSAPP" && !contentSid
  return now && isWhatsApp && !now.isMessagingWindowOpen ? "window" : null
}

function pathOf({ kind }: Queued): string {
  return kind === "note" ? "api/send-message-to-customer-thread" : "api/scheduled-messages"
}

function bodyOf(item: Queued): object {
  const { kind, threadId, text, contentSid, attachment, channel, resolve, sendAt, lastSeenMessageId } = item
  const content = {
    customerThreadId: threadId,
    ...(contentSid ? { contentSid } : text ? { text } : {}),
    ...(attachment ? { attachmentId: attachment.attachmentId } : {}),
  }
  if (kind === "note") {
    const { mentionedUserIds } = item
    return { ...content, internal: true, ...(mentionedUserIds.length ? { mentionedUserIds } : {}) }
  }
  return {
    ...content,
    ...(channel ? { channel } : {}),
    ...(lastSeenMessageId ? { lastSeenMessageId } : {}),
    ...(resolve ? { resolve } : {}),
    ...(sendAt ? { sendAt } : { delayMs: UNDO_MS }),
  }
}
