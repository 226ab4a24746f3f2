import "./emoji.css"
import { useSignal } from "@preact/signals"
import { useEffect, useLayoutEffect, useMemo, useRef } from "preact/hooks"
import { t } from "../app/i18n"
import { type Emoji, findEmoji, groups, inTone, recentEmoji, setTone, takeEmoji, toneInUse, tones } from "./emoji"

interface Props {
  onShown: () => void
  /** the employee has chosen a text, or nothing */
  onEnd: (text: string) => void
}

interface Section {
  name: string
  emoji: readonly Emoji[]
}

/** As many as `emoji.css` has columns. */
const COLUMNS = 8

/** All emoji in a grid. The focus stays in the field, and the arrow keys move in the grid. */
export function EmojiPicker({ onShown, onEnd }: Props) {
  const typed = useSignal("")
  const active = useSignal(0)
  const tone = useSignal(toneInUse())
  const field = useRef<HTMLInputElement>(null)
  const grid = useRef<HTMLDivElement>(null)
  const sections = useMemo(() => sectionsFor(typed.value), [typed.value])
  const all = sections.flatMap(each => each.emoji)

  useLayoutEffect(() => {
    onShown()
    field.current?.focus()
  }, [])
  // More than a thousand elements: only two of them change.
  useEffect(() => {
    grid.current?.querySelector("[aria-selected=true]")?.setAttribute("aria-selected", "false")
    const option = document.getElementById(`emoji-${active.value}`)
    option?.setAttribute("aria-selected", "true")
    option?.scrollIntoView({ block: "nearest" })
  }, [active.value, sections])
  const drawn = useMemo(() => {
    let index = 0
    return sections.map(({ name, emoji }) => (
      <ul key={name} role="group" aria-label={name}>
        <li role="presentation" class="heading" aria-hidden="true">
          {name}
        </li>
        {emoji.map(each => {
          const at = index++
          return (
            <li
              key={each.text}
              id={`emoji-${at}`}
              role="option"
              aria-selected="false"
              aria-label={each.name}
              title={each.name}
              data-at={at}
            >
              {inTone(each, tone.value)}
            </li>
          )
        })}
      </ul>
    ))
  }, [sections, tone.value])

  function choose(at: number): void {
    const chosen = all[at]
    if (chosen) onEnd(takeEmoji(chosen))
  }
  function keyDown(event: KeyboardEvent): void {
    if (event.isComposing) return
    const to = moved(event.key, active.value, sections)
    if (to !== null) active.value = to
    else if (event.key === "Enter") choose(active.value)
    else if (event.key === "Escape") onEnd("")
    else return
    event.preventDefault() // the form around it would send the message
    event.stopPropagation()
  }
  const optionAt = (event: Event) => {
    const at = (event.target as HTMLElement).closest<HTMLElement>("[role=option]")?.dataset.at
    return at === undefined ? null : Number(at)
  }

  return (
    <>
      <input
        ref={field}
        type="text"
        role="combobox"
        aria-expanded="true"
        aria-controls="emoji-grid"
        aria-autocomplete="list"
        aria-activedescendant={all.length ? `emoji-${active.value}` : undefined}
        aria-label={t("Search emoji")}
        placeholder={t("Search emoji")}
        autocomplete="off"
        value={typed.value}
        onKeyDown={keyDown}
        onInput={event => {
          typed.value = event.currentTarget.value
          active.value = 0
        }}
      />
      <div
        ref={grid}
        id="emoji-grid"
        class="grid"
        role="listbox"
        aria-label={t("Emoji")}
        onPointerMove={event => {
          active.value = optionAt(event) ?? active.value
        }}
        onPointerDown={event => event.preventDefault()}
        onClick={event => choose(optionAt(event) ?? -1)}
      >
        {drawn}
      </div>
      <footer>
        <span class="cut" aria-hidden="true">
          {all[active.value]?.name ?? t("Nothing found")}
        </span>
        <select
          aria-label={t("Skin tone")}
          onChange={event => {
            tone.value = Number(event.currentTarget.value)
            setTone(tone.value)
            field.current?.focus()
          }}
        >
          {["", ...tones].map((name, at) => (
            <option key={at} value={at} aria-label={name || t("No skin tone")} selected={at === tone.value}>
              {inTone(HAND, at)}
            </option>
          ))}
        </select>
      </footer>
    </>
  )
}

const HAND: Emoji = { text: "✋", name: "", hasTones: true, words: [] }

function sectionsFor(typed: string): Section[] {
  const names = [
    t("Smileys and emotion"),
    t("People and body"),
    t("Animals and nature"),
    t("Food and drink"),
    t("Travel and places"),
    t("Activities"),
    t("Objects"),
    t("Symbols"),
    t("Flags"),
  ]
  const found = typed.trim()
    ? [{ name: t("Results"), emoji: findEmoji(typed) }]
    : [
        { name: t("Recently used"), emoji: recentEmoji() },
        ...groups.map((emoji, i) => ({ name: names[i] ?? "", emoji })),
      ]
  return found.filter(each => each.emoji.length > 0)
}

/** Where an arrow key leads in the grid, whose sections begin new rows; null for other keys. */
function moved(key: string, from: number, sections: readonly Section[]): number | null {
  const isRightToLeft = document.documentElement.dir === "rtl"
  const aside = { ArrowLeft: isRightToLeft ? 1 : -1, ArrowRight: isRightToLeft ? -1 : 1 }[key]
  const step = { ArrowUp: -1, ArrowDown: 1 }[key]
  const rows: number[][] = []
  let count = 0
  for (const { emoji } of sections) {
    const indexes = emoji.map((_, i) => count + i)
    for (let at = 0; at < indexes.length; at += COLUMNS) rows.push(indexes.slice(at, at + COLUMNS))
    count += indexes.length
  }
  if (aside) return Math.max(0, Math.min(count - 1, from + aside))
  if (!step) return null
  const row = rows.findIndex(each => each.includes(from))
  const target = rows[row + step]
  if (!target) return from
  return target[Math.min(from - (rows[row]?.[0] ?? 0), target.length - 1)] ?? from
}
