import { withMarks } from "../app/marks"
import { mentionsIn } from "../composer/suggestions"

const URL = /https?:\/\/[^\s<>"]*[^\s<>".,;:!?)\]'’”]/g

/** The text of a message: its addresses are links. In a note, the names of employees are marked. */
export function Text({ text, isNote = false }: { text: string; isNote?: boolean }) {
  const links = [...text.matchAll(URL)].map(({ 0: href, index }) => ({
    from: index,
    to: index + href.length,
    part: (
      <a key={index} href={href} target="_blank" rel="noopener noreferrer nofollow">
        {href}
      </a>
    ),
  }))
  const names = (isNote ? mentionsIn(text) : []).map(({ from, to }) => ({
    from,
    to,
    part: (
      <span key={from} class="at">
        {text.slice(from, to)}
      </span>
    ),
  }))
  return <>{withMarks(text, [...links, ...names])}</>
}
