import type { ComponentChildren } from "preact"

/** A text that may be an address: without room for it, a line ends before the `@` or after a dot, not within a word. */
export function breakable(text: string): ComponentChildren[] {
  return text.split(/(?=@)|(?<=\.)/).flatMap((part, i) => (i ? [<wbr key={part} />, part] : [part]))
}
