import { signal } from "@preact/signals"
import { getAll } from "../api/client"
import { newest } from "../api/newest"
import { on } from "../api/stream"
import type { Mode, SavedReply } from "../api/types"
import { fold } from "../app/fold"
import { me } from "../app/session"
import type { ShownThread } from "../conversation/shown"
import { fill } from "./variables"

/** Something that the composer offers to insert. */
export interface Suggestion {
  key: string
  /** `/refund`, `@Ben Carter`, or the name of an emoji */
  name: string
  more: string
  reply?: SavedReply
  emoji?: { text: string; take: () => string }
}

/** As many as fit above the composer without scrolling. */
const SHOWN = 6
/** Fewer letters after a colon are an emoticon, or the text goes on. */
const EMOJI_LETTERS = 2

/** The saved replies of the organization; null until they are read. */
const savedReplies = signal<readonly SavedReply[] | null>(null)
const readReplies = newest<readonly SavedReply[] | null>(savedReplies, () =>
  getAll<SavedReply>("api/saved-replies", "savedReplies"),
)
let loading: Promise<void> | undefined

/** Read the saved replies, once in a session. */
export function loadSavedReplies(): Promise<void> {
  loading ??= readReplies().catch(() => {
    loading = undefined // the next slash tries again
  })
  return loading
}

/** The module with the emoji; null until they are loaded. */
const emoji = signal<typeof import("./emoji") | null>(null)

export async function loadEmojiSuggestions(): Promise<void> {
  const loaded = await import("./emoji")
  await loaded.loadEmoji()
  emoji.value = loaded
}

on("resync", () => {
  loading = undefined
})

/** What is typed before the caret: `/re` asks for saved replies, `:sm` for emoji, `@Be` in a note for employees. */
interface Wanted {
  sign: "/" | "@" | ":"
  word: string
  from: number
  to: number
}

export function wantedAt(text: string, caret: number, mode: Mode): Wanted | null {
  const found = /(?:^|\s)([/@:])([^\s/@:]*)$/.exec(text.slice(0, caret))
  const sign = found?.[1] as Wanted["sign"] | undefined
  const word = found?.[2] ?? ""
  if (!sign || (sign === "@" && mode !== "note") || (sign === ":" && word.length < EMOJI_LETTERS)) return null
  return { sign, word, from: caret - word.length - 1, to: caret }
}

export function suggestionsFor({ sign, word }: Wanted, content: ShownThread): Suggestion[] {
  const typed = fold(word)
  if (sign === ":") {
    const all = emoji.value
    if (!all) return []
    return all
      .findEmoji(word)
      .slice(0, SHOWN)
      .map(each => ({
        key: each.text,
        name: each.name,
        more: "",
        emoji: { text: all.inTone(each, all.toneInUse()), take: () => all.takeEmoji(each) },
      }))
  }
  if (sign === "@") {
    return me.value.employees
      .filter(
        each =>
          each.active &&
          fold(each.name)
            .split(" ")
            .some(part => part.startsWith(typed)),
      )
      .slice(0, SHOWN)
      .map(({ employeeUserId: key, name }) => ({ key, name: `@${name}`, more: "" }))
  }
  return repliesFor(content)
    .filter(({ shortcut, title }) => fold(shortcut).startsWith(typed) || fold(title).includes(typed))
    .slice(0, SHOWN)
    .map(reply => ({
      key: reply.savedReplyId,
      name: `/${reply.shortcut}`,
      more: fill(reply.text, content) || reply.title,
      reply,
    }))
}

/** The saved replies that fit a conversation: those of its business, and of all. */
export function repliesFor({ thread }: ShownThread): SavedReply[] {
  return (savedReplies.value ?? []).filter(each => !each.businessId || each.businessId === thread.businessId)
}

/** The employees that a note mentions by `@Name`. */
export function mentionsIn(text: string): { employeeUserId: string; from: number; to: number }[] {
  const { employees } = me.value
  const byLength = employees.filter(each => each.active).sort((one, other) => other.name.length - one.name.length)
  const found: { employeeUserId: string; from: number; to: number }[] = []
  for (let at = text.indexOf("@"); at >= 0; at = text.indexOf("@", at + 1)) {
    const employee = byLength.find(({ name }) => text.startsWith(name, at + 1))
    // Of two with the same name, both are meant.
    for (const { employeeUserId, name } of byLength.filter(each => each.name === employee?.name)) {
      found.push({ employeeUserId, from: at, to: at + 1 + name.length })
    }
  }
  return found
}
