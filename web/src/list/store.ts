import { computed, effect, signal, untracked } from "@preact/signals"
import { get, isPassing, retryMs } from "../api/client"
import { on } from "../api/stream"
import type { InboxThread, ThreadPage } from "../api/types"
import { onUndone } from "../app/actions"
import { route } from "../app/router"
import { onRows, put, row } from "../app/rows"
import { me } from "../app/session"
import { refreshCounts } from "../views/counts"
import { belongs, compare, FILTERS, type ListQuery, queryOf } from "./membership"

const PAGE_ROWS = 100
/** News that come together are read together. */
const GATHER_MS = 50
const KEPT_LISTS = 20
/** How long the rows of an undone action return to their places at once; server and connection may be slow. */
const RETURNING_MS = 30_000

interface Kept {
  ids: readonly string[]
  cursor: string | null
}

const key = computed(() => JSON.stringify(queryOf(route.value.view, route.value.filters)))

/** The list that the address names; the same object while it names the same list. */
export const query = computed<ListQuery>(() => JSON.parse(key.value))

/** The conversations in the list, in order. */
export const order = signal<readonly string[]>([])
/** New conversations that wait at the top until the order may change. */
export const fresh = signal<readonly string[]>([])
export const state = signal<"loading" | "ready" | "failed">("loading")
/** Whether there are more on the server. */
export const hasMore = signal(false)
/** Whether a filter is set, besides the view. */
export const isFiltered = computed(() => FILTERS.some(name => query.value[name]))

/** Earlier lists, to show at once when the employee returns. */
const lists = new Map<string, Kept>()
const returning = new Map<string, number>()
let cursor: string | null = null
let loading: AbortController | undefined
let loadingMore: Promise<void> | undefined
let isHeld = false
/** Whether to read the list again once it is loaded: something may have changed since it was asked for. */
let isOutdated = false
const news = new Set<string>()
/** Rows that have changed since the list was last asked for: the response may be older. */
const changedSince = new Set<string>()
let gathering: ReturnType<typeof setTimeout> | undefined
let reloading: ReturnType<typeof setTimeout> | undefined
/** How often the list, and the news, could not be read since they were read last. */
let failures = 0
let newsFailures = 0

/** Start to follow the address and the stream. */
export function followList(): void {
  effect(() => {
    const name = key.value
    untracked(() => void load(name))
  })
  on("inbox", data => {
    // What only another employee has read, or marked as unread, is no news here.
    if (data.employeeUserId && data.employeeUserId !== me.peek().employeeUserId) return
    if (data.hasMore) void reload()
    for (const id of data.customerThreadIds as string[]) news.add(id)
    gathering ??= setTimeout(readNews, GATHER_MS)
  })
  on("resync", () => {
    if (state.peek() === "loading") isOutdated = true
    else void reload()
  })
  onRows(place)
  onUndone(ids => {
    if (!ids) return reload()
    for (const id of ids) returning.set(id, Date.now() + RETURNING_MS)
    for (const id of ids) news.add(id)
    return readNews()
  })
}

/** Keep the order while the pointer or the focus is in the list. */
export function hold(held: boolean): void {
  if (isHeld && !held) settle()
  isHeld = held
}

/** Put the new conversations into their places. */
export function showFresh(): void {
  settle()
}

/** Read the list again, without moving what is shown. */
export function reload(): Promise<void> {
  return load(key.peek())
}

async function load(name: string): Promise<void> {
  clearTimeout(reloading)
  loading?.abort()
  const request = new AbortController()
  loading = request
  isOutdated = false
  changedSince.clear()
  const kept = lists.get(name)
  const isSame = shownList === name
  if (!isSame) {
    shownList = name
    fresh.value = []
    order.value = kept?.ids ?? []
    cursor = kept?.cursor ?? null
    hasMore.value = cursor !== null
    state.value = kept ? "ready" : "loading"
  }
  refreshCounts()
  try {
    const found: InboxThread[] = []
    let next: string | null = null
    do {
      const page: ThreadPage = await read(next, request.signal)
      found.push(...page.threads)
      next = page.nextCursor
    } while (next && found.length < order.peek().length)
    put(found)
    cursor = next
    hasMore.value = next !== null
    arrange(found.map(each => each.customerThreadId))
    state.value = "ready"
    failures = 0
    if (isOutdated) void reload()
  } catch (error) {
    if (request.signal.aborted) return
    if (!order.peek().length) state.value = "failed"
    // As long as the stream is there, nothing else tells that the list is old.
    if (isPassing(error)) reloading = setTimeout(reload, retryMs(failures++))
  }
}

let shownList = ""

/** Read further rows, when the end of the list comes near. */
export function loadMore(): Promise<void> {
  if (!cursor) return Promise.resolve()
  const name = key.peek()
  loadingMore ??= (async () => {
    try {
      let from: string | null
      let page: ThreadPage
      do {
        from = cursor
        page = await read(from)
        if (name !== key.peek() || !cursor) return
      } while (from !== cursor) // the list was read again, and ends elsewhere
      put(page.threads)
      cursor = page.nextCursor
      hasMore.value = cursor !== null
      const [known, asked] = [new Set(order.peek()), query.peek()]
      const added = page.threads.map(each => each.customerThreadId).filter(id => !known.has(id) && isMember(id, asked))
      show([...order.peek(), ...added])
    } catch {
      // The next scroll tries again.
    } finally {
      loadingMore = undefined
    }
  })()
  return loadingMore
}

function read(after: string | null, abort?: AbortSignal): Promise<ThreadPage> {
  const asked: Record<string, string | number | null> = { ...query.peek(), limit: PAGE_ROWS, cursor: after }
  return get<ThreadPage>("api/inbox/threads", asked, abort ? { signal: abort } : {})
}

/** Show what the server has sent, as far as it is still so; while the order is held, new rows are collected. */
function arrange(ids: readonly string[]): void {
  const asked = query.peek()
  const members = ids.filter(id => isMember(id, asked))
  const since = [...changedSince].filter(id => isMember(id, asked))
  if (!isHeld || !order.peek().length) {
    fresh.value = []
    show(members)
    insert(since)
    return
  }
  const known = new Set(order.peek())
  fresh.value = [...new Set([...members, ...since.filter(comesBeforeTheEnd)])].filter(id => !known.has(id))
}

async function readNews(): Promise<void> {
  clearTimeout(gathering)
  gathering = undefined
  const ids = [...news].slice(0, PAGE_ROWS)
  if (!ids.length) return
  for (const id of ids) news.delete(id)
  try {
    const { threads } = await get<ThreadPage>("api/inbox/threads", { customerThreadId: ids, limit: PAGE_ROWS })
    put(threads)
    const sent = new Set(threads.map(each => each.customerThreadId))
    const gone = new Set(ids.filter(id => !sent.has(id))) // erased, or moved to a business that this employee does not see
    if (gone.size) drop(id => gone.has(id))
    newsFailures = 0
  } catch (error) {
    // The stream does not repeat them.
    if (isPassing(error)) {
      for (const id of ids) news.add(id)
      gathering ??= setTimeout(readNews, retryMs(newsFailures++))
    }
  }
  refreshCounts()
  if (news.size) gathering ??= setTimeout(readNews, GATHER_MS)
}

/** Rows have changed: put them where they belong now, unless the order is held. */
function place(ids: readonly string[], byUs: boolean): void {
  const asked = query.peek()
  const now = Date.now()
  const listed = new Set(order.peek())
  const added: string[] = []
  const removed = new Set<string>()
  for (const id of ids) {
    changedSince.add(id)
    const isIn = isMember(id, asked)
    if (isIn && !listed.has(id)) added.push(id)
    if (!isIn && listed.has(id)) removed.add(id)
  }
  const back = added.filter(id => byUs || (returning.get(id) ?? 0) > now)
  // In an empty list, no row can move under the pointer.
  if (byUs || !isHeld || !order.peek().length) {
    drop(id => removed.has(id))
    insert(added)
  } else {
    insert(back)
    const waiting = added.filter(id => !back.includes(id) && comesBeforeTheEnd(id))
    fresh.value = [...new Set([...fresh.peek(), ...waiting])].filter(id => isMember(id, asked))
  }
  if (!isHeld) settle()
}

function isMember(id: string, asked: ListQuery): boolean {
  const thread = row(id)?.peek()
  return !!thread && belongs(thread, asked, me.peek().employeeUserId)
}

/** Whether a row is still in the list that shows it; a held list keeps those that have left. */
export function isStillHere(thread: InboxThread): boolean {
  return belongs(thread, query.value, me.value.employeeUserId)
}

function insert(ids: readonly string[]): void {
  const known = new Set(order.peek())
  const added = ids.filter(id => !known.has(id) && comesBeforeTheEnd(id))
  if (!added.length) return
  const ordered = compare(query.peek().sort)
  const next = [...order.peek()]
  for (const id of added) {
    const thread = row(id)?.peek()
    const at = thread ? next.findIndex(each => ordered(thread, row(each)?.peek() ?? thread) < 0) : -1
    next.splice(at < 0 ? next.length : at, 0, id)
  }
  show(next)
}

/** Whether a row is among those that are loaded; otherwise the server sends it with a later page. */
function comesBeforeTheEnd(id: string): boolean {
  const [thread, last] = [row(id)?.peek(), row(order.peek().at(-1) ?? "")?.peek()]
  return !cursor || !thread || !last || compare(query.peek().sort)(thread, last) < 0
}

/** Bring the order up to date: those that have left go, new ones come, all at their places. */
function settle(): void {
  const asked = query.peek()
  const all = [...new Set([...order.peek(), ...fresh.peek()])].filter(id => isMember(id, asked))
  const ordered = compare(asked.sort)
  const threads = all.map(id => row(id)?.peek()).filter(each => !!each)
  fresh.value = []
  show(threads.sort(ordered).map(each => each.customerThreadId))
}

function drop(isGone: (id: string) => boolean): void {
  fresh.value = fresh.peek().filter(id => !isGone(id))
  show(order.peek().filter(id => !isGone(id)))
}

function show(ids: readonly string[]): void {
  if (ids.length !== order.peek().length || ids.some((id, i) => id !== order.peek()[i])) order.value = ids
  lists.delete(shownList)
  lists.set(shownList, { ids, cursor })
  for (const oldest of lists.keys()) {
    if (lists.size <= KEPT_LISTS) break
    lists.delete(oldest)
  }
}
