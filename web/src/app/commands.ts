import { signal } from "@preact/signals"
import { tinykeys } from "tinykeys"
import { hasDialog } from "../menu/dialogs"
import type { IconName } from "./icon-names"

/** Something that an employee can do by a key, and from the command menu. */
export interface Command {
  /** unique; a later command with the same id replaces it */
  id: string
  /** translated when it is shown */
  text: () => string
  group: "conversation" | "list" | "go" | "page"
  icon?: IconName
  /** in the notation of tinykeys: `e`, `Shift+j`, `g n`, `$mod+k`; several are alternatives */
  keys?: readonly string[]
  /** whether it does anything now */
  isAvailable?: () => boolean
  /** works in fields, too: only for keys with a modifier, and F6 */
  inFields?: boolean
  /** acts again while the key is held */
  repeats?: boolean
  run: (event?: KeyboardEvent) => void
}

/** All commands; the sheet of shortcuts and the command menu show them. */
export const commands = signal<readonly Command[]>([])

const OFF = "shopbell.single-keys-off"

/** Whether single-letter keys are on. Some people switch them off, because dictation software types letters. */
export const hasSingleKeys = signal(localStorage.getItem(OFF) === null)

export function setSingleKeys(on: boolean): void {
  hasSingleKeys.value = on
  if (on) localStorage.removeItem(OFF)
  else localStorage.setItem(OFF, "1")
}

/** Add commands, and bind their keys. */
export function register(...added: Command[]): void {
  const ids = new Set(added.map(each => each.id))
  commands.value = [...commands.peek().filter(each => !ids.has(each.id)), ...added]
  for (const { id, keys } of added) {
    for (const key of keys ?? []) tinykeys(window, { [key]: event => press(id, key, event) }, { ignore: isIgnored })
  }
}

const SEQUENCE_MS = 1_000
let beganAt = Number.NEGATIVE_INFINITY
let isSecond = false

// After G, the next key names a view and has no other effect.
addEventListener("keydown", event => {
  isSecond = event.timeStamp - beganAt < SEQUENCE_MS
  const begins = event.key === "g" && !event.metaKey && !event.ctrlKey && !event.altKey && !isInField(event)
  beganAt = begins ? event.timeStamp : Number.NEGATIVE_INFINITY
})

function press(id: string, key: string, event: KeyboardEvent): void {
  const command = commands.peek().find(each => each.id === id)
  if (event.defaultPrevented) return
  if (!command?.keys?.includes(key) || (command.isAvailable && !command.isAvailable())) return
  if (isSecond && !key.includes(" ")) return
  if (!command.inFields && (isInField(event) || hasDialog() || document.querySelector("dialog:modal, :popover-open")))
    return
  const isSingle = !/\$mod|Control|F6|Arrow|Enter|Escape/.test(key)
  if (isSingle && !hasSingleKeys.peek()) return
  event.preventDefault()
  // A held E would resolve one conversation after the other.
  if (!event.repeat || command.repeats) command.run(event)
}

/** The repeats of a held key must reach us: J keeps moving. */
function isIgnored(event: KeyboardEvent): boolean {
  return event.isComposing
}

function isInField({ target }: KeyboardEvent): boolean {
  return (
    target instanceof Element && !!target.closest("input:not([type=checkbox]), textarea, select, [contenteditable]")
  )
}
