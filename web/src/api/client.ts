import { signal } from "@preact/signals"
import { type Param, url } from "../app/paths"

/** One fault of a request. */
interface FieldError {
  in: string
  name?: string
  pointer?: string
  code: string
  detail: string
}

/** A response of the server that is not 2xx: problem details, RFC 9457. */
export class ApiError extends Error {
  constructor(
    readonly status: number,
    readonly problem: { type?: string; detail?: string; errors?: FieldError[]; [more: string]: unknown },
  ) {
    super(problem.detail ?? `The server answered ${status}.`)
  }
}

/** No response: the server cannot be reached, or the connection broke. */
export class NoConnection extends Error {}

const RETRY_FIRST_MS = 2_000
const RETRY_LAST_MS = 30_000

/** Whether the same request may succeed later: there is no connection, or the server is busy. */
export function isPassing(error: unknown): boolean {
  return error instanceof NoConnection || (error instanceof ApiError && (error.status === 429 || error.status >= 500))
}

/** How long to wait before a request is repeated, after this many failures before the last one. */
export function retryMs(failures: number): number {
  return Math.min(RETRY_LAST_MS, RETRY_FIRST_MS * 2 ** failures)
}

/** Whether the session has ended. A dialog over the page then asks the employee to sign in again. */
export const isSessionOver = signal(false)

const returned = new Set<() => void>()
let returns = 0

/** Call back after each new sign-in, to repeat what failed. Returns a function that stops this. */
export function onReturn(callback: () => void): () => void {
  returned.add(callback)
  return () => returned.delete(callback)
}

/** Report that the employee has signed in again. */
export function sessionReturned(): void {
  returns++
  isSessionOver.value = false
  for (const callback of returned) callback()
}

interface Options {
  /** aborts the request */
  signal?: AbortSignal
  /** the same key never acts twice: if there was no response, repeat the request with the same key */
  idempotencyKey?: string
  /** continue even if the page is closed */
  keepalive?: boolean
}

/**
 * Read from the API.
 * @throws {ApiError} the server refused
 * @throws {NoConnection} there was no response
 */
export function get<T>(path: string, query?: Record<string, Param>, options?: Options): Promise<T> {
  return send<T>("GET", url(path, query), undefined, options)
}

/**
 * Read all pages of a list.
 * @param name of the list in the responses, such as `tags`
 * @throws {ApiError} the server refused
 * @throws {NoConnection} there was no response
 */
export async function getAll<T>(path: string, name: string, query?: Record<string, Param>): Promise<T[]> {
  const all: T[] = []
  let cursor: string | null = null
  do {
    const page: Record<string, unknown> = await get(path, { ...query, cursor, limit: 100 })
    all.push(...(page[name] as T[]))
    cursor = page.nextCursor as string | null
  } while (cursor)
  return all
}

/**
 * Change something through the API.
 * @throws {ApiError} the server refused
 * @throws {NoConnection} there was no response: the server may have acted or not
 */
export function post<T>(path: string, body: object, options?: Options): Promise<T> {
  return send<T>("POST", url(path), body, options)
}

/** Upload a file, as `POST /api/attachments` takes it. */
export function upload<T>(path: string, form: FormData, options?: Options): Promise<T> {
  return send<T>("POST", url(path), form, options)
}

async function send<T>(method: string, to: string, body?: object, options: Options = {}): Promise<T> {
  const headers: Record<string, string> = { accept: "application/json" }
  if (options.idempotencyKey) headers["idempotency-key"] = options.idempotencyKey
  const init: RequestInit = { method, headers, credentials: "same-origin", keepalive: options.keepalive ?? false }
  if (options.signal) init.signal = options.signal
  if (body instanceof FormData) init.body = body
  else if (body) {
    headers["content-type"] = "application/json"
    init.body = JSON.stringify(body)
  }
  const before = returns
  let response: Response
  let content: unknown
  try {
    response = await fetch(to, init)
    content = await response.json().catch(() => ({}))
  } catch (error) {
    if (options.signal?.aborted) throw error
    throw new NoConnection("There is no connection to the server.", { cause: error })
  }
  if (response.ok) return content as T
  if (response.status === 401) {
    if (before !== returns) return send(method, to, body, options) // the employee has signed in again since
    isSessionOver.value = true
  }
  throw new ApiError(response.status, content as ApiError["problem"])
}
