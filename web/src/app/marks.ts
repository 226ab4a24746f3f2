import type { ComponentChildren } from "preact"

/** A part of a text, and what is shown in its place. */
export interface Mark {
  from: number
  to: number
  part: ComponentChildren
}

/** A text with its marks. Of two that overlap, the first one is shown. */
export function withMarks(text: string, marks: readonly Mark[]): ComponentChildren[] {
  const parts: ComponentChildren[] = []
  let at = 0
  for (const { from, to, part } of marks.toSorted((one, other) => one.from - other.from)) {
    if (from < at) continue
    parts.push(text.slice(at, from), part)
    at = to
  }
  return [...parts, text.slice(at)]
}
