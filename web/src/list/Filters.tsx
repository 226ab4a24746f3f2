import { useSignal } from "@preact/signals"
import { useId, useRef } from "preact/hooks"
import { Icon } from "../app/Icon"
import { t } from "../app/i18n"
import { lazy } from "../app/lazy"
import { placeAt } from "../app/Menu"
import { go, route } from "../app/router"
import { businessOf, nameOf } from "../app/session"
import { CHANNELS, channelName } from "./channels"
import { FILTERS } from "./membership"
import { loadTags, tags } from "./questions"
import { isFiltered, query } from "./store"

export type Filter = (typeof FILTERS)[number]

/** Change one filter, or the order, in the address; null takes it out. */
export function setFilter(name: Filter | "sort", value: string | null): void {
  const filters = new URLSearchParams(route.peek().filters)
  if (value) filters.set(name, value)
  else filters.delete(name)
  go({ filters })
}

export function clearFilters(): void {
  const filters = new URLSearchParams(route.peek().filters)
  for (const name of FILTERS) filters.delete(name)
  go({ filters })
}

const Fields = lazy<{ onShown: () => void }>(async () => (await import("./FilterFields")).FilterFields)

/** The button that opens the filters. */
export function FilterButton() {
  const id = useId()
  const button = useRef<HTMLButtonElement>(null)
  const popup = useRef<HTMLDivElement>(null)
  const isOpen = useSignal(false)
  const shown = () => {
    if (!popup.current || !button.current) return
    placeAt(popup.current, button.current)
    popup.current.querySelector("select")?.focus()
  }
  return (
    <>
      <button
        ref={button}
        type="button"
        class="icon"
        aria-label={t("Filter")}
        aria-expanded={isOpen}
        popovertarget={id}
      >
        <Icon name="sliders-horizontal" />
      </button>
      <div
        ref={popup}
        id={id}
        popover="auto"
        role="dialog"
        class="popup filters"
        aria-label={t("Filter")}
        onToggle={event => {
          isOpen.value = event.newState === "open"
          if (isOpen.value) void loadTags()
        }}
      >
        {isOpen.value && <Fields onShown={shown} />}
      </div>
    </>
  )
}

/** The filters that are set, each with a way to take it out. */
export function Chips() {
  if (!isFiltered.value) return null
  const names: Record<Filter, (value: string) => string | undefined> = {
    businessId: id => businessOf(id)?.name,
    assigneeUserId: id => nameOf(id),
    tagId: id => tags.value.find(each => each.tagId === id)?.name,
    channel: value => {
      const channel = CHANNELS.find(each => each === value)
      return channel && channelName(channel)
    },
  }
  return (
    <ul class="chips" aria-label={t("Filters")}>
      {FILTERS.map(filter => {
        const value = query.value[filter]
        if (!value) return null
        const name = names[filter](value) ?? t("Unknown")
        return (
          <li key={filter}>
            <button
              type="button"
              aria-label={t("Remove the filter {name}", { name })}
              onClick={() => setFilter(filter, null)}
            >
              <span class="cut">{name}</span>
              <Icon name="x" />
            </button>
          </li>
        )
      })}
      <li>
        <button type="button" class="plain" onClick={clearFilters}>
          {t("Clear")}
        </button>
      </li>
    </ul>
  )
}
