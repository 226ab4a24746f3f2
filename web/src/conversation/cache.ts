import { batch, type Signal, signal } from "@preact/signals"
import { ApiError, get, isPassing, retryMs } from "../api/client"
import { on } from "../api/stream"
import type { Activity, InboxThread, Message, OlderMessages, OpenThread } from "../api/types"
import { recordViewers } from "../app/presence"
import { route } from "../app/router"
import { put } from "../app/rows"
import { may, me } from "../app/session"
import { tick } from "../app/tick"
import { type ShownThread, shownThread } from "./shown"

const KEPT = 100
const PREFETCH_AFTER_MS = 60
/** The server tells this tab of the drafts that it saved itself. */
const OWN_DRAFT_MS = 5_000

/** A conversation in the cache: what it shows, or why it cannot be shown. */
export interface Cached {
  /** null until the first response */
  content: Signal<ShownThread | null>
  /** all messages that were loaded, in order and without gaps */
  messages: Signal<readonly Message[]>
  /** what happened in the time of these messages, in order */
  activities: Signal<readonly Activity[]>
  /** whether there are older ones */
  hasMore: Signal<boolean>
  error: Signal<unknown>
  /** the employee who moved it to another business last, while this page was open */
  movedBy: Signal<string | null>
  /** whether something has changed since it was read */
  isStale: boolean
  loading: Promise<void> | null
  /** how often it could not be read since it was read last */
  failures: number
  retry: ReturnType<typeof setTimeout> | undefined
  older: Promise<void> | null
}

/** The conversations that were opened or prefetched, least recently used first. */
const cache = new Map<string, Cached>()
let next: ReturnType<typeof setTimeout> | undefined
const readers = new Set<(id: string) => () => void>()
/** When this tab saved drafts, of which the server has not told it yet. */
const savedDrafts = new Map<string, number[]>()
const foreignDrafts = new Set<() => void>()

/** Return a conversation at once; it is read if it is not in the cache. */
export function conversation(id: string): Cached {
  const known = cache.get(id)
  const found = known ?? empty()
  cache.delete(id)
  cache.set(id, found)
  for (const oldest of cache.keys()) {
    if (cache.size <= KEPT) break
    cache.delete(oldest)
  }
  if (!known) void read(id, found)
  return found
}

/** Read a conversation that is opened, if it has changed since it was read, or could not be read. */
export function refresh(id: string): void {
  const found = conversation(id)
  if (found.isStale) void read(id, found)
}

function empty(): Cached {
  return {
    content: signal(null),
    messages: signal([]),
    activities: signal([]),
    hasMore: signal(false),
    error: signal(null),
    movedBy: signal(null),
    isStale: true,
    loading: null,
    failures: 0,
    retry: undefined,
    older: null,
  }
}

/** Whether a conversation is gone for this employee: it was moved to a business in which they have no role. */
export function isGone(id: string): boolean {
  const error = cache.get(id)?.error.value
  return error instanceof ApiError && error.status === 404
}

/** Whether the employee may act on a conversation. */
export function mayAct({ customerThreadId, businessId }: InboxThread): boolean {
  return may("threads:write", businessId) && !isGone(customerThreadId)
}

/** Forget a conversation that is gone, once the employee leaves it. */
export function leave(id: string): void {
  if (isGone(id)) cache.delete(id)
}

/** Read a conversation that will probably be opened next; while a key is held down, only the last one. */
export function prefetch(id: string): void {
  clearTimeout(next)
  next = setTimeout(() => {
    if (!cache.has(id)) conversation(id)
  }, PREFETCH_AFTER_MS)
}

/** Read a conversation again; at once if it is open, otherwise when it is opened next. */
export function invalidate(id: string, isOpen = route.peek().threadId === id): Promise<void> | undefined {
  const found = cache.get(id)
  if (!found) return
  found.isStale = true
  return isOpen ? read(id, found) : undefined
}

/** Load the messages before those that are loaded, and what happened in their time. */
export function loadOlder(id: string): Promise<void> {
  const found = conversation(id)
  found.older ??= (async () => {
    try {
      const [first] = found.messages.peek()
      if (!first || !found.hasMore.peek()) return
      const query = { beforeSequence: first.sequence }
      const page = await get<OlderMessages>(`api/inbox/threads/${id}/earlier`, query)
      // Others may be first now: erased, or read again after a gap.
      if (found.messages.peek()[0]?.sequence !== first.sequence) return
      batch(() => {
        found.messages.value = [...page.messages, ...found.messages.peek()]
        found.activities.value = [...page.activities, ...found.activities.peek()]
        found.hasMore.value = page.hasMore
      })
    } catch {
      // The next scroll tries again.
    } finally {
      found.older = null
    }
  })()
  return found.older
}

/** Call back before each read of a conversation; what that returns is called after the read. */
export function onRead(callback: (id: string) => () => void): void {
  readers.add(callback)
}

/** Note that this tab saves a draft: the next signal about it says nothing new. */
export function noteOwnDraft(id: string, mode: string): void {
  savedDrafts.set(`${id} ${mode}`, [...ownSaves(id, mode), Date.now()])
}

function ownSaves(id: string, mode: string): number[] {
  return (savedDrafts.get(`${id} ${mode}`) ?? []).filter(at => at > Date.now() - OWN_DRAFT_MS)
}

/** Call back when the employee has changed a draft elsewhere. */
export function onForeignDraft(callback: () => void): void {
  foreignDrafts.add(callback)
}

function hearDraft(id: string, mode: string): void {
  const [own, ...others] = ownSaves(id, mode)
  savedDrafts.set(`${id} ${mode}`, others)
  if (own !== undefined) return
  void invalidate(id)
  for (const callback of foreignDrafts) callback()
}

function read(id: string, into: Cached): Promise<void> {
  into.loading ??= (async () => {
    try {
      do {
        into.isStale = false // before the request: what changes while it runs is read again
        const after = [...readers].map(each => each(id))
        const askedAt = tick()
        const content = await get<OpenThread>(`api/inbox/threads/${id}`)
        batch(() => {
          keep(into, content, askedAt)
          recordViewers(id, content.viewers, askedAt)
          into.error.value = null
          into.failures = 0
          for (const each of after) each()
        })
      } while (into.isStale)
    } catch (error) {
      into.isStale = true
      into.error.value = error
      clearTimeout(into.retry)
      // As long as the stream is there, nothing else tells that it is old.
      if (isPassing(error)) into.retry = setTimeout(() => void invalidate(id), retryMs(into.failures++))
    } finally {
      into.loading = null
    }
  })()
  return into.loading
}

/**
 * Take over what was read. The older messages that were loaded stay, with what happened in their time, if no message is
 * missing after them.
 */
function keep(into: Cached, content: OpenThread, askedAt: number): void {
  const first = content.messages[0]?.sequence ?? 0
  const older = into.messages.peek().filter(each => each.sequence < first)
  const hasGap = older.at(-1)?.sequence !== first - 1
  const before = hasGap ? [] : into.activities.peek().filter(each => each.afterSequence < first)
  batch(() => {
    put([content.thread])
    into.messages.value = hasGap ? content.messages : [...older, ...content.messages]
    into.activities.value = [...before, ...content.activities]
    if (hasGap) into.hasMore.value = content.hasMore
    into.content.value = shownThread(content, askedAt)
  })
}

const OF_THREADS = [
  "message",
  "message-delivery",
  "assignment",
  "status",
  "transfer",
  "snooze",
  "tags",
  "import",
  "survey-answered",
  "read",
  "scheduled",
] as const
const OF_CUSTOMERS = [
  "customer-updated",
  "customer-merged",
  "customer-merge-undone",
  "customer-blocked",
  "customer-unblocked",
  "customer-erased",
] as const

/** Follow the stream: what changes is read again. */
export function followConversations(): void {
  for (const type of OF_THREADS) {
    on(type, ({ customerThreadId }) => {
      if (customerThreadId) void invalidate(String(customerThreadId))
    })
  }
  on("transfer", ({ customerThreadId, actor }) => {
    const { type, id } = actor as { type: string; id: string | null }
    const found = cache.get(String(customerThreadId))
    if (found) found.movedBy.value = type === "employee" ? id : null
  })
  for (const type of OF_CUSTOMERS) {
    on(type, ({ customerId, data }) => {
      const merged = (data as { mergedCustomerId?: string } | undefined)?.mergedCustomerId
      for (const [id, each] of cache) {
        const of = each.content.peek()?.customer.id
        if (of !== customerId && of !== merged) continue
        if (type === "customer-erased") each.messages.value = []
        void invalidate(id)
      }
    })
  }
  on("draft", ({ customerThreadId, mode, employeeUserId }) => {
    if (!employeeUserId) void invalidate(String(customerThreadId))
    else if (employeeUserId === me.peek().employeeUserId) hearDraft(String(customerThreadId), String(mode))
  })
  on("ready", () => {
    savedDrafts.clear() // the signals of what was saved before do not come any more
    const open = route.peek().threadId
    if (open && cache.get(open)?.error.peek()) void invalidate(open)
  })
  on("resync", () => {
    for (const id of cache.keys()) void invalidate(id)
  })
}
