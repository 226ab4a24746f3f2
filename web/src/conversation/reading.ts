import { useSignalEffect } from "@preact/signals"
import { useEffect, useRef } from "preact/hooks"
import { post } from "../api/client"
import { inOrder } from "../app/actions"
import { change } from "../app/rows"
import { conversation, mayAct } from "./cache"

/** Mark what the employee sees as read: for themselves, and for the customer. */
export function useReading(id: string): void {
  const marked = useRef(0)
  const look = () => {
    const last = conversation(id).messages.peek().at(-1)?.sequence ?? 0
    if (last <= marked.current || document.visibilityState === "hidden") return
    marked.current = last
    void mark(id, last)
  }
  useSignalEffect(() => {
    conversation(id).messages.value
    look()
  })
  useEffect(() => {
    addEventListener("visibilitychange", look)
    return () => removeEventListener("visibilitychange", look)
  }, [])
}

async function mark(id: string, sequence: number): Promise<void> {
  // A later message stays unread.
  const shown = change([id], row => (row.lastSequence > sequence ? {} : { unread: false, mentioned: false }))
  const body = { customerThreadId: id, sequence }
  const thread = conversation(id).content.peek()?.thread
  const mayWrite = thread !== undefined && mayAct(thread)
  try {
    await inOrder(() =>
      Promise.all([post("api/inbox/read", body), mayWrite ? post("api/update-thread-read", body) : null]),
    )
    shown.confirm()
    const { content } = conversation(id)
    const now = content.peek()
    if (!now) return
    const { thread: read, readSequence } = now
    const unread = read.unread && read.lastSequence > sequence
    content.value = { ...now, readSequence: Math.max(readSequence, sequence), thread: { ...read, unread } }
  } catch {
    shown.revert() // it stays unread, and is marked when it is opened next
  }
}
