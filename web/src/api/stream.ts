import { signal } from "@preact/signals"
import { url } from "../app/paths"
import { get, isSessionOver, onReturn } from "./client"

/** How long a connection may be lost before the inbox says so. */
const UNNOTICED_MS = 10_000
/** The server sends at least a heartbeat every 20 s. */
const SILENCE_MS = 45_000
const RETRY_FIRST_MS = 1_000
const RETRY_LAST_MS = 30_000

/** Whether the live stream has been lost for more than ten seconds. */
export const isOffline = signal(false)

type Handler = (data: Record<string, unknown>) => void
const handlers = new Map<string, Set<Handler>>()
let source: EventSource | null = null
let position = "latest"
let retries = 0
let retry: ReturnType<typeof setTimeout> | undefined
let lost: ReturnType<typeof setTimeout> | undefined
let silence: ReturnType<typeof setTimeout> | undefined

/**
 * Listen to one type of events or signals of `GET /api/stream`; docs/events.md lists them.
 *
 * `resync` is one of them: everything shown must be read again, because events were missed, or signals may have been.
 * @returns a function that stops it
 */
export function on(type: string, handler: Handler): () => void {
  let those = handlers.get(type)
  if (!those) {
    those = new Set()
    handlers.set(type, those)
    source?.addEventListener(type, hear)
  }
  those.add(handler)
  return () => those.delete(handler)
}

/** Open the stream after a position of the feed, such as that of `GET /api/me`. It reconnects automatically. */
export function openStream(after: number): void {
  position = String(after)
  onReturn(connect)
  addEventListener("online", connect)
  connect()
}

function connect(): void {
  clearTimeout(retry)
  source?.close()
  source = new EventSource(url("api/stream", { after: position }))
  for (const type of handlers.keys()) source.addEventListener(type, hear)
  source.addEventListener("ready", isBack)
  source.addEventListener("beat", isAlive)
  source.addEventListener("error", isLost)
  isAlive()
}

/** A connection that breaks without a word, as proxies and sleeping computers leave it, is opened again. */
function isAlive(): void {
  clearTimeout(silence)
  silence = setTimeout(() => {
    noteLost()
    connect()
  }, SILENCE_MS)
}

function hear(event: MessageEvent<string>): void {
  isAlive()
  if (event.lastEventId) position = event.lastEventId
  const data = JSON.parse(event.data)
  for (const handler of handlers.get(event.type) ?? []) handler(data)
}

function isBack(event: MessageEvent<string>): void {
  isAlive()
  if (event.lastEventId) position = event.lastEventId
  retries = 0
  clearTimeout(lost)
  lost = undefined
  isOffline.value = false
  // Events that were missed follow now, but signals do not: nothing stores them. The first connection has missed those
  // since the page read what it shows.
  for (const handler of handlers.get("resync") ?? []) handler({})
}

function noteLost(): void {
  lost ??= setTimeout(() => {
    isOffline.value = true
  }, UNNOTICED_MS)
}

function isLost(): void {
  noteLost()
  // The browser reconnects after a broken connection, but not after an answer such as 401 or 503.
  if (source?.readyState !== EventSource.CLOSED) return
  clearTimeout(silence)
  if (isSessionOver.value) return
  // The browser does not say why it was refused. Another request finds out whether the session has ended.
  get("api/me").catch(() => {})
  retry = setTimeout(connect, Math.min(RETRY_LAST_MS, RETRY_FIRST_MS * 2 ** retries++))
}
