import { type Signal, signal } from "@preact/signals"
import { useEffect } from "preact/hooks"
import { post } from "../api/client"
import { on } from "../api/stream"
import type { PresenceState } from "../api/types"
import { may } from "../app/session"
import type { ShownThread } from "./shown"

const REPEAT_MS = 8_000
/** The customer sees that an employee is typing; that has to be repeated. */
const TYPING_MS = 4_000
const TYPING_SHOWN_MS = 6_000

/** When the employee last typed, by conversation. */
const typed = new Map<string, number>()
const told = new Map<string, number>()
const typing = new Map<string, Signal<boolean>>()
const ends = new Map<string, ReturnType<typeof setTimeout>>()
let tell: ((isWriting: boolean) => void) | undefined
let before: Promise<unknown> = Promise.resolve()

/** Tell colleagues that the employee has a conversation open. */
export function usePresence(threadId: string, content: ShownThread | null): void {
  const isThere = content !== null
  useEffect(() => {
    if (!isThere) return
    let state: PresenceState | null = null
    const send = (now: PresenceState) => {
      if (now === "left" && state === null) return
      state = now === "left" ? null : now
      const body = { customerThreadId: threadId, state: now }
      // One after the other: the last to arrive counts. A lost signal is sent again; that of a conversation that is
      // gone says nothing new.
      before = before.then(() => post("api/inbox/presence", body, { keepalive: true })).catch(() => {})
    }
    const leave = () => send("left")
    const look = () => {
      if (document.visibilityState === "hidden") leave()
      else send((typed.get(threadId) ?? 0) > Date.now() - REPEAT_MS ? "writing" : "viewing")
    }
    tell = isWriting => {
      if ((state === "writing") !== isWriting) look()
    }
    look()
    const timer = setInterval(look, REPEAT_MS)
    addEventListener("visibilitychange", look)
    addEventListener("pagehide", leave)
    return () => {
      clearInterval(timer)
      removeEventListener("visibilitychange", look)
      removeEventListener("pagehide", leave)
      tell = undefined
      typed.delete(threadId)
      leave()
    }
  }, [threadId, isThere])
}

/** Note that the employee types; colleagues see that, and the customer if it is a reply. */
export function noteWriting(threadId: string, isReply: boolean): void {
  const now = Date.now()
  typed.set(threadId, now)
  tell?.(true)
  if (!isReply || (told.get(threadId) ?? 0) > now - TYPING_MS || !may("threads:write")) return
  told.set(threadId, now)
  void post("api/update-typing", { customerThreadId: threadId }).catch(() => {})
}

/** Note that the employee has finished writing, because they have sent it. */
export function endWriting(threadId: string): void {
  typed.delete(threadId)
  tell?.(false)
}

/** Whether the customer is typing. */
export function isTyping(threadId: string): Signal<boolean> {
  const found = typing.get(threadId) ?? signal(false)
  typing.set(threadId, found)
  return found
}

/** Follow the signals of customers who type. */
export function followTyping(): void {
  const set = (id: string, to: boolean) => {
    clearTimeout(ends.get(id))
    isTyping(id).value = to
    if (to) {
      ends.set(
        id,
        setTimeout(() => set(id, false), TYPING_SHOWN_MS),
      )
    }
  }
  on("typing", ({ from, customerThreadId }) => {
    if (from === "customer" && customerThreadId) set(String(customerThreadId), true)
  })
  on("message", ({ customerThreadId }) => set(String(customerThreadId), false))
}
