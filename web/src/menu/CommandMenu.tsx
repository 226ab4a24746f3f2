import { useComputed, useSignal } from "@preact/signals"
import { useEffect, useMemo, useRef } from "preact/hooks"
import { commands } from "../app/commands"
import { Dialog } from "../app/Dialog"
import { Icon } from "../app/Icon"
import { t } from "../app/i18n"
import type { IconName } from "../app/icon-names"
import { route } from "../app/router"
import { row } from "../app/rows"
import { nameIn } from "../conversation/shown"
import { targets } from "../list/selection"
import { openDialog } from "./dialogs"
import { Keycaps } from "./Keycaps"
import { BEST, marked, score, VAGUE } from "./match"
import { findPeople, type Person } from "./people"
import { goals, replies } from "./sources"

/** What the menu offers. */
export interface Offer {
  id: string
  text: string
  more?: string
  icon?: IconName
  keys?: string | undefined
  run: () => void
}

interface Group {
  name: string
  offers: Offer[]
}

/** The commands that open this menu. */
const OPEN_THIS: readonly string[] = ["menu", "search"]
const SHOWN = 6
const SEARCH_AFTER_MS = 120

/** One field for everything: commands, saved replies, views and people. */
export function CommandMenu() {
  const typed = useSignal("")
  const active = useSignal(0)
  const people = useSignal<readonly Person[]>([])
  const list = useRef<HTMLDivElement>(null)
  const scope = useMemo(scopeName, [])
  const groups = useComputed(() => groupsFor(typed.value, scope !== null, people.value))
  const offers = groups.value.flatMap(each => each.offers)

  useEffect(() => {
    const asked = typed.value.trim()
    if (asked.length < 2) {
      people.value = []
      return
    }
    const request = new AbortController()
    const timer = setTimeout(async () => {
      const found = await findPeople(asked, request.signal).catch(() => null)
      if (found) people.value = found
    }, SEARCH_AFTER_MS)
    return () => {
      clearTimeout(timer)
      request.abort()
    }
  }, [typed.value])
  useEffect(() => {
    list.current?.querySelector("[aria-selected=true]")?.scrollIntoView({ block: "nearest" })
  }, [active.value])

  function close(): void {
    openDialog.value = null
  }
  function run(offer: Offer | undefined): void {
    if (!offer) return
    close()
    // The focus is back where it was before the menu, because commands act on the focused element.
    setTimeout(offer.run)
  }
  function keyDown(event: KeyboardEvent): void {
    if (event.isComposing) return
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key]
    if (step && offers.length) active.value = (active.value + step + offers.length) % offers.length
    else if (event.key === "Enter") run(offers[active.value])
    else return
    event.preventDefault()
  }

  let index = 0
  return (
    <Dialog class="menu all" label={t("Search and commands")} onClose={close}>
      <div class="ask">
        <Icon name="search" />
        {scope && <span class="scope cut">{scope}</span>}
        <input
          role="combobox"
          aria-expanded="true"
          aria-controls="offers"
          aria-autocomplete="list"
          aria-activedescendant={offers.length ? `offer-${active.value}` : undefined}
          aria-label={t("Search and commands")}
          placeholder={t("Customers, views, replies, commands")}
          autocomplete="off"
          value={typed.value}
          onKeyDown={keyDown}
          onInput={event => {
            typed.value = event.currentTarget.value
            active.value = 0
          }}
        />
      </div>
      <div ref={list} id="offers" role="listbox" aria-label={t("Results")} class="offers">
        {groups.value.map(({ name, offers: those }) => (
          <ul key={name} role="group" aria-label={name}>
            <li role="presentation" class="heading" aria-hidden="true">
              {name}
            </li>
            {those.map(offer => {
              const at = index++
              return (
                <li
                  key={offer.id}
                  id={`offer-${at}`}
                  role="option"
                  aria-selected={at === active.value}
                  onPointerMove={() => {
                    active.value = at
                  }}
                  onClick={() => run(offer)}
                >
                  {offer.icon && <Icon name={offer.icon} />}
                  <span class="cut" dir="auto">
                    {marked(offer.text, typed.value)}
                  </span>
                  {offer.more && <span class="more cut">{offer.more}</span>}
                  {offer.keys && <Keycaps keys={offer.keys} />}
                </li>
              )
            })}
          </ul>
        ))}
      </div>
      {!offers.length && (
        <p class="none">{t("No customer, view, reply or command matches. Messages are not searched.")}</p>
      )}
      <footer>
        <span>
          <kbd>↑</kbd>
          <kbd>↓</kbd>
          {t("move")}
        </span>
        <span>
          <kbd>↵</kbd>
          {t("run")}
        </span>
        <span>
          <kbd>Esc</kbd>
          {t("close")}
        </span>
      </footer>
    </Dialog>
  )
}

/** The customer of the conversation that commands act on. */
function scopeName(): string | null {
  const on = targets()
  const thread = Array.isArray(on) && on.length === 1 ? row(on[0])?.peek() : undefined
  return thread ? nameIn(thread) : null
}

function groupsFor(typed: string, hasScope: boolean, people: readonly Person[]): Group[] {
  const known = commands.value.filter(each => !OPEN_THIS.includes(each.id) && (!each.isAvailable || each.isAvailable()))
  const offersOf = (group: string): Offer[] =>
    known
      .filter(each => each.group === group)
      .map(({ id, text, icon, keys, run }) => ({ id, text: text(), ...(icon ? { icon } : {}), keys: keys?.[0], run }))
  const conversation = hasScope || route.value.threadId ? offersOf("conversation") : []
  const groups: [string, Offer[], number][] = [
    [t("This conversation"), conversation, typed ? SHOWN : 5],
    [t("People"), people.map(({ id, name, more, run }) => ({ id, text: name, more, icon: "user-round", run })), 5],
    [t("Saved replies"), typed ? replies() : [], SHOWN],
    [t("Go to"), [...offersOf("go"), ...goals()], typed ? SHOWN : 7],
    [t("Page"), offersOf("page"), SHOWN],
  ]
  const scored = groups.map(([name, offers, most]) => ({
    name,
    most,
    // People were searched by the server, which also knows their addresses.
    found: offers
      .map(offer => ({ offer, value: name === t("People") ? BEST : score(offer.text, typed) }))
      .sort((one, other) => other.value - one.value),
  }))
  // Results that only contain the letters in this order are used if nothing matches better.
  const isVague = scored.every(({ found }) => found.every(each => each.value <= VAGUE))
  return scored
    .map(({ name, most, found }) => ({
      name,
      offers: found
        .filter(each => each.value > (isVague ? 0 : VAGUE))
        .slice(0, most)
        .map(each => each.offer),
    }))
    .filter(each => each.offers.length > 0)
}
