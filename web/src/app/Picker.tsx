import { useSignal } from "@preact/signals"
import { Dialog } from "./Dialog"
import { fold } from "./fold"
import { Icon } from "./Icon"
import { t } from "./i18n"
import { type Option, type Question, question } from "./picker"

/** The dialog of `ask`: a combobox with a listbox, after the pattern of the ARIA guide. */
export function Picker() {
  const asked = question.value
  return asked && <Asked key={asked} {...asked} />
}

function Asked({ label, scope, options, answer, several = false, on: onAtFirst = [], create, moment }: Question) {
  const typed = useSignal("")
  const active = useSignal(0)
  const on = useSignal(new Set(onAtFirst))

  const words = fold(typed.value).split(" ").filter(Boolean)
  const all = typeof options === "function" ? options() : options
  const found = all.filter(({ text, more = "" }) => words.every(word => fold(`${text} ${more}`).includes(word)))
  const isNew = create && typed.value.trim() && !all.some(each => fold(each.text) === fold(typed.value.trim()))
  const entries: Entry[] = found.map(option => ({ option, run: () => choose(option.id) }))
  if (isNew)
    entries.push({
      option: { id: "new", text: create.text(typed.value.trim()) },
      run: () => end(() => create.run(typed.value.trim())),
    })

  function end(then?: () => void): void {
    question.value = null
    // The focus is back where it was before the dialog, because actions move it with its row.
    if (then) setTimeout(then)
  }
  function choose(id: string): void {
    if (!several) {
      end(() => answer([id]))
      return
    }
    const next = new Set(on.value)
    if (!next.delete(id)) next.add(id)
    on.value = next
  }
  function keyDown(event: KeyboardEvent): void {
    if (event.isComposing) return
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key]
    if (step && entries.length) active.value = (active.value + step + entries.length) % entries.length
    else if (event.key === "Enter" && (event.metaKey || event.ctrlKey) && several) end(() => answer([...on.value]))
    else if (event.key === "Enter") entries[active.value]?.run()
    else return
    event.preventDefault()
    document.getElementById(`option-${active.value}`)?.scrollIntoView({ block: "nearest" })
  }

  return (
    <Dialog class="menu pick-one" label={label} onClose={() => end()}>
      <div class="ask">
        <Icon name="search" />
        {scope && <span class="scope cut">{scope}</span>}
        <input
          role="combobox"
          aria-expanded="true"
          aria-controls="options"
          aria-activedescendant={entries.length ? `option-${active.value}` : undefined}
          aria-autocomplete="list"
          aria-label={label}
          placeholder={label}
          autocomplete="off"
          value={typed.value}
          onKeyDown={keyDown}
          onInput={event => {
            typed.value = event.currentTarget.value
            active.value = 0
          }}
        />
      </div>
      <ul id="options" role="listbox" aria-label={label} aria-multiselectable={several}>
        {entries.map(({ option, run }, i) => (
          <li
            key={option.id}
            id={`option-${i}`}
            role="option"
            aria-selected={several ? on.value.has(option.id) : i === active.value}
            class={i === active.value ? "active" : undefined}
            onPointerMove={() => {
              active.value = i
            }}
            onClick={run}
          >
            {several ? <span class="tick">{on.value.has(option.id) && <Icon name="check" />}</span> : option.icon?.()}
            <span class="cut">{option.text}</span>
            {option.more && <span class="more">{option.more}</span>}
          </li>
        ))}
      </ul>
      {!entries.length && <p class="none">{t("Nothing found")}</p>}
      {moment && (
        <form
          class="when"
          onSubmit={event => {
            event.preventDefault()
            const form = event.currentTarget
            const field = form.elements.namedItem("at") as HTMLInputElement
            field.min = soonest() // the dialog may have been open for a while
            if (form.reportValidity()) end(() => moment.answer(new Date(field.value).getTime()))
          }}
        >
          <label>
            {moment.text}
            <input type="datetime-local" name="at" required min={soonest()} max="9999-12-31T23:59" />
          </label>
          <button type="submit" class="button">
            {t("Save")}
          </button>
        </form>
      )}
      {several && (
        <footer>
          <button type="button" class="button main" onClick={() => end(() => answer([...on.value]))}>
            {t("Save")}
          </button>
        </footer>
      )}
    </Dialog>
  )
}

interface Entry {
  option: Option
  run: () => void
}

/** The next minute, as `datetime-local` writes it. */
function soonest(): string {
  const at = Date.now() + 60_000
  return new Date(at - new Date(at).getTimezoneOffset() * 60_000).toISOString().slice(0, 16)
}
