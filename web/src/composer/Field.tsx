import { useSignal } from "@preact/signals"
import type { ComponentChildren, RefObject } from "preact"
import { useEffect, useRef } from "preact/hooks"
import type { Mode } from "../api/types"
import { Icon } from "../app/Icon"
import { t } from "../app/i18n"
import { withMarks } from "../app/marks"
import type { ShownThread } from "../conversation/shown"
import { addAttachments, addFiles, draftOf, write } from "./drafts"
import {
  loadEmojiSuggestions,
  loadSavedReplies,
  mentionsIn,
  type Suggestion,
  suggestionsFor,
  wantedAt,
} from "./suggestions"
import { fill, gapsOf } from "./variables"

interface Props {
  content: ShownThread
  mode: Mode
  field: RefObject<HTMLTextAreaElement | null>
  onTyped: () => void
}

/** The text of the composer, with what `/` and `@` offer. A layer behind the field marks gaps and names. */
export function Field({ content, mode, field, onTyped }: Props) {
  const threadId = content.thread.customerThreadId
  const { text } = draftOf(threadId, mode).value
  const caret = useSignal<number | null>(null)
  const active = useSignal(0)
  const closed = useSignal("")
  const layer = useRef<HTMLDivElement>(null)
  const list = useRef<HTMLUListElement>(null)

  const wanted = caret.value === null ? null : wantedAt(text, caret.value, mode)
  const offered = wanted && closed.value !== `${wanted.sign}${wanted.from}` ? suggestionsFor(wanted, content) : []
  const isOpen = offered.length > 0
  const marks = marked(text, mode)
  useEffect(() => {
    if (wanted?.sign === "/") void loadSavedReplies()
    if (wanted?.sign === ":") void loadEmojiSuggestions()
  }, [wanted?.sign])
  useEffect(() => {
    active.value = 0
  }, [wanted?.word, wanted?.sign])
  useEffect(() => {
    list.current?.querySelector("[aria-selected=true]")?.scrollIntoView({ block: "nearest" })
  })

  function choose({ name, reply, emoji }: Suggestion): void {
    const area = field.current
    if (!area || !wanted) return
    insert(area, wanted.from, wanted.to, reply ? fill(reply.text, content) : `${emoji?.take() ?? name} `)
    if (reply) addAttachments(threadId, mode, reply.attachments)
  }
  function look(): void {
    const area = field.current
    const isHere = area && document.activeElement === area && area.selectionStart === area.selectionEnd
    caret.value = isHere ? area.selectionStart : null
  }
  function keyDown(event: KeyboardEvent): void {
    if (event.isComposing) return
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key]
    if (isOpen && step) active.value = (active.value + step + offered.length) % offered.length
    else if (isOpen && (event.key === "Enter" || event.key === "Tab") && !event.shiftKey && !hasModifier(event)) {
      choose(offered[active.value] ?? (offered[0] as Suggestion))
    } else if (isOpen && event.key === "Escape") closed.value = `${wanted?.sign}${wanted?.from}`
    else return
    event.preventDefault()
    event.stopPropagation()
  }

  return (
    <div class="field" id={`panel-${mode}`} role="tabpanel" aria-labelledby={`tab-${mode}`}>
      {isOpen && (
        <div class="menu pop">
          <ul ref={list} id="suggestions" role="listbox" aria-label={listName(wanted?.sign)}>
            {offered.map((each, i) => (
              <li
                key={each.key}
                id={`suggestion-${i}`}
                role="option"
                aria-selected={i === active.value}
                onPointerMove={() => {
                  active.value = i
                }}
                onPointerDown={event => event.preventDefault()}
                onClick={() => choose(each)}
              >
                {each.emoji ? <span>{each.emoji.text}</span> : <Icon name={each.reply ? "zap" : "at-sign"} />}
                <span class="two">
                  <b>
                    <bdi>{each.name}</bdi>
                  </b>
                  <span class="cut" dir="auto">
                    {each.more}
                  </span>
                </span>
              </li>
            ))}
          </ul>
        </div>
      )}
      <div class={`written${marks.length > 1 ? " marked" : ""}`}>
        <div ref={layer} class="draft marks" aria-hidden="true" dir="auto">
          {marks}
          {"\n"}
        </div>
        <textarea
          ref={field}
          class="draft"
          dir="auto"
          rows={1}
          aria-label={mode === "note" ? t("Note") : t("Reply")}
          aria-haspopup="listbox"
          aria-controls={isOpen ? "suggestions" : undefined}
          aria-activedescendant={isOpen ? `suggestion-${active.value}` : undefined}
          placeholder={
            mode === "note" ? t("Write a note. @ mentions a colleague.") : t("Write a reply. / for saved replies.")
          }
          value={text}
          onInput={event => {
            write(threadId, mode, { text: event.currentTarget.value })
            closed.value = ""
            look()
            onTyped()
          }}
          onKeyDown={keyDown}
          onKeyUp={look}
          onClick={look}
          onBlur={() => {
            caret.value = null
          }}
          onScroll={event => {
            if (layer.current) layer.current.scrollTop = event.currentTarget.scrollTop
          }}
          onPaste={event => {
            const files = [...(event.clipboardData?.files ?? [])]
            if (!files.length) return
            event.preventDefault()
            addFiles(threadId, mode, files)
          }}
        />
      </div>
    </div>
  )
}

/** Insert a text as if it were typed, so that the browser can undo it; and select its first gap. */
export function insert(area: HTMLTextAreaElement, from: number, to: number, text: string): void {
  area.focus()
  area.setSelectionRange(from, to)
  if (!document.execCommand("insertText", false, text)) {
    area.setRangeText(text, from, to, "end")
    area.dispatchEvent(new InputEvent("input", { bubbles: true }))
  }
  const gap = gapsOf(area.value).find(each => each.from >= from)
  if (gap) area.setSelectionRange(gap.from, gap.to)
}

function listName(sign: "/" | "@" | ":" | undefined): string {
  if (sign === ":") return t("Emoji")
  return sign === "@" ? t("Employees") : t("Saved replies")
}

function hasModifier(event: KeyboardEvent): boolean {
  return event.metaKey || event.ctrlKey || event.altKey
}

function marked(text: string, mode: Mode): ComponentChildren[] {
  const marks = [
    ...gapsOf(text).map(each => ({ ...each, class: "gap" })),
    ...(mode === "note" ? mentionsIn(text).map(each => ({ ...each, class: "at" })) : []),
  ]
  return withMarks(
    text,
    marks.map(({ from, to, class: name }) => ({
      from,
      to,
      part: (
        <mark key={from} class={name}>
          {text.slice(from, to)}
        </mark>
      ),
    })),
  )
}
