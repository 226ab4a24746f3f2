import { signal } from "@preact/signals"
import type { Mode } from "../api/types"

/** The drafts of the employee that have content, by `draftKey`. */
export const drafted = signal<ReadonlySet<string>>(new Set())

export function draftKey(threadId: string, mode: Mode): string {
  return `${threadId}:${mode}`
}

/** Note whether the employee has a draft. */
export function noteDraft(key: string, isThere: boolean): void {
  if (drafted.peek().has(key) === isThere) return
  const next = new Set(drafted.peek())
  if (isThere) next.add(key)
  else next.delete(key)
  drafted.value = next
}

/** Whether the employee has a draft in a conversation, of a reply or a note. */
export function hasDraft(threadId: string): boolean {
  return drafted.value.has(draftKey(threadId, "reply")) || drafted.value.has(draftKey(threadId, "note"))
}

/** The conversations of those messages of the employee that the server has refused to send, by the message's id. */
export const refused = signal<ReadonlyMap<string, string>>(new Map())

/** Note whether the server has refused to send a message of the employee. */
export function noteRefused(scheduledMessageId: string, threadId: string, isRefused: boolean): void {
  if (refused.peek().has(scheduledMessageId) === isRefused) return
  const next = new Map(refused.peek())
  if (isRefused) next.set(scheduledMessageId, threadId)
  else next.delete(scheduledMessageId)
  refused.value = next
}

/** Whether the server has refused to send a message of the employee in a conversation. */
export function hasRefused(threadId: string): boolean {
  return [...refused.value.values()].includes(threadId)
}
