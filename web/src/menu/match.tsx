import type { ComponentChildren } from "preact"
import { fold } from "../app/fold"

/** Fold a text so that each letter keeps its place; one that does not, such as a Korean syllable, stays as it is. */
function foldInPlace(text: string): string {
  return [...text].map(letter => (fold(letter).length === letter.length ? fold(letter) : letter)).join("")
}

export const BEST = 5
/** The letters only come in this order. */
export const VAGUE = 1

/**
 * How well a text matches what is typed; 0: not at all.
 *
 * Best is the beginning of the text, then the beginning of a word, then any place, then letters in this order.
 */
export function score(text: string, typed: string): number {
  const [hay, needle] = [foldInPlace(text), foldInPlace(typed.trim())]
  if (!needle) return BEST
  const at = hay.indexOf(needle)
  if (at === 0) return BEST
  if (at > 0) return /[^\p{L}\p{N}]/u.test(hay[at - 1] ?? "") ? 4 : 3
  if (needle.split(" ").every(word => hay.includes(word))) return 2
  let from = 0
  for (const letter of needle) {
    from = hay.indexOf(letter, from) + 1
    if (!from) return 0
  }
  return needle.length > 2 ? VAGUE : 0
}

/** A text in which what is typed is marked. */
export function marked(text: string, typed: string): ComponentChildren {
  const needle = foldInPlace(typed.trim())
  const at = needle ? foldInPlace(text).indexOf(needle) : -1
  if (at < 0) return text
  return (
    <>
      {text.slice(0, at)}
      <mark>{text.slice(at, at + needle.length)}</mark>
      {text.slice(at + needle.length)}
    </>
  )
}
