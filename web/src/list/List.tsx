import { useSignal, useSignalEffect } from "@preact/signals"
import type { VNode } from "preact"
import { useEffect, useLayoutEffect, useRef } from "preact/hooks"
import { isOffline } from "../api/stream"
import { number } from "../app/format"
import { Icon } from "../app/Icon"
import { n, t } from "../app/i18n"
import { useLate } from "../app/late"
import { lazy } from "../app/lazy"
import { Menu } from "../app/Menu"
import { url } from "../app/paths"
import { href, route } from "../app/router"
import { hasFirstSteps } from "../first-steps/steps"
import { counts } from "../views/counts"
import { viewName } from "../views/names"
import { isShown, savedViews } from "../views/saved"
import { Chips, clearFilters, FilterButton, setFilter } from "./Filters"
import type { Sort } from "./membership"
import { Row } from "./Row"
import { chosen, current, focusRequest } from "./selection"
import { fresh, hasMore, hold, isFiltered, loadMore, order, query, reload, showFresh, state } from "./store"

const FirstSteps = lazy<{ instead: VNode }>(async () => (await import("../first-steps/FirstSteps")).FirstSteps)
const BulkBar = lazy(
  async () => (await import("./BulkBar")).BulkBar,
  () => <header class="picked" />,
)

/** Up to so many rows, all are in the page; of a longer list, those around the window. */
const ALL_ROWS = 100
const MARGIN_ROWS = 12

/** The request that the focus has followed last. */
let focusedFor = 0

/** The pane of the list: its title, and what is in the view. */
export function List() {
  return (
    <section class="list" aria-label={t("Conversations")}>
      {chosen.value.size ? <BulkBar /> : <Title />}
      <Chips />
      {isOffline.value && (
        <p class="offline" role="status">
          <Icon name="refresh-cw" />
          <span>{t("No connection. What you write is saved, and sent when you are back online.")}</span>
        </p>
      )}
      <Content />
    </section>
  )
}

function Title() {
  const { view } = route.value
  const saved = savedViews.value.find(each => isShown(each, route.value))
  const count = total()
  const names: Record<Sort, string> = { waiting: t("Longest waiting"), recent: t("Most recent") }
  return (
    <header class="bar">
      <h2>{saved?.name ?? viewName(view)}</h2>
      {count > 0 && (
        <span class="num age">
          <span aria-hidden="true">{number(count)}</span>
          <span class="unseen">{n("{count} conversation", "{count} conversations", count)}</span>
        </span>
      )}
      <span class="push" />
      {view !== "resolved" && (
        <Menu
          class="quiet sort"
          items={(["waiting", "recent"] as const).map(sort => ({
            text: names[sort],
            isOn: query.value.sort === sort,
            run: () => setFilter("sort", sort),
          }))}
        >
          <Icon name="arrow-up-down" />
          <span class="cut">{names[query.value.sort]}</span>
          <Icon name="chevron-down" />
        </Menu>
      )}
      <FilterButton />
    </header>
  )
}

/** How many conversations the list has; -1 if only the server knows. */
function total(): number {
  if (!hasMore.value) return order.value.length
  return isFiltered.value ? -1 : (counts.value.views[route.value.view] ?? -1)
}

function Content() {
  const box = useRef<HTMLDivElement>(null)
  const over = useRef({ pointer: false, focus: false })
  const set = (what: Partial<typeof over.current>) => {
    Object.assign(over.current, what)
    hold(over.current.pointer || over.current.focus)
  }
  // The element with the focus may go with its row: then no event tells that the focus has left.
  useSignalEffect(() => {
    order.value
    requestAnimationFrame(() => set({ focus: !!box.current?.contains(document.activeElement) }))
  })
  return (
    <div
      ref={box}
      class="content"
      onPointerEnter={event => event.pointerType === "mouse" && set({ pointer: true })}
      onPointerLeave={() => set({ pointer: false })}
      onFocusIn={() => set({ focus: true })}
      onFocusOut={event => set({ focus: !!box.current?.contains(event.relatedTarget as Node | null) })}
    >
      <Fresh />
      {order.value.length ? <Rows /> : <Instead />}
    </div>
  )
}

/** What has come while the order was held. */
function Fresh() {
  const count = fresh.value.length
  return (
    <div role="status">
      {count > 0 && (
        <button type="button" class="fresh" onClick={showFresh}>
          {n("{count} new", "{count} new", count)}
        </button>
      )}
    </div>
  )
}

function Rows() {
  const list = useRef<HTMLUListElement>(null)
  const shown = useSignal({ from: 0, to: ALL_ROWS, height: 78 })
  const ids = order.value
  const isLong = ids.length > ALL_ROWS

  function look(): void {
    const box = list.current
    if (!box) return
    const height = box.querySelector(".item")?.getBoundingClientRect().height || shown.peek().height
    const from = Math.max(0, Math.floor(box.scrollTop / height) - MARGIN_ROWS)
    const to = Math.ceil((box.scrollTop + box.clientHeight) / height) + MARGIN_ROWS
    const before = shown.peek()
    if (from !== before.from || to !== before.to || height !== before.height) shown.value = { from, to, height }
    if (to >= order.peek().length) void loadMore()
  }
  useEffect(() => {
    const observer = new ResizeObserver(look)
    if (list.current) observer.observe(list.current)
    return () => observer.disconnect()
  }, [])
  // The list of another view begins at its top. Not later: the employee may have scrolled in it by then.
  useLayoutEffect(() => {
    if (list.current) list.current.scrollTop = 0
    look()
  }, [query.value])
  useEffect(look, [ids])
  useSignalEffect(() => {
    // A list that is drawn again does not take the focus again.
    if (focusRequest.value === focusedFor) return
    focusedFor = focusRequest.value
    const at = order.peek().indexOf(current.peek() ?? "")
    const { height } = shown.peek()
    const box = list.current
    if (at < 0 || !box) return
    const [top, bottom] = [at * height, (at + 1) * height]
    if (top < box.scrollTop) box.scrollTop = top
    else if (bottom > box.scrollTop + box.clientHeight) box.scrollTop = bottom - box.clientHeight
    look()
    const focus = () => {
      const found = box.querySelector<HTMLElement>(`[data-thread="${current.peek()}"]`)
      found?.focus({ preventScroll: true })
      return !!found
    }
    // At once, so that the next key acts on it; or when it is drawn.
    if (!focus()) requestAnimationFrame(focus)
  })

  const { from, to, height } = shown.value
  const part = isLong ? ids.slice(from, to) : ids
  const size = total()
  const before = isLong ? Math.min(from, ids.length) : 0
  const space = {
    "--before": `${before * height}px`,
    "--after": `${isLong ? Math.max(0, ids.length - to) * height : 0}px`,
  }
  return (
    <ul ref={list} class="rows" style={space} aria-label={t("Conversations")} onScroll={look}>
      {part.map((id, i) => (
        <Row key={id} id={id} place={before + i + 1} size={size} />
      ))}
      {!hasMore.value && (
        <li class="end">
          {query.value.view === "needs-reply" && !isFiltered.value && (
            <>
              <Icon name="check" />
              {t("No one else is waiting.")}
            </>
          )}
        </li>
      )}
    </ul>
  )
}

/** What stands where no row is: bones, an error, or why there is nothing. */
function Instead() {
  if (state.value === "loading") return <Skeleton />
  if (state.value === "failed") {
    return (
      <div class="mid" role="alert">
        <b>{t("The conversations could not be loaded")}</b>
        <button type="button" class="button" onClick={() => void reload()}>
          {t("Try again")}
        </button>
      </div>
    )
  }
  if (isFiltered.value) {
    return (
      <div class="mid">
        <b>{t("No conversation matches the filter")}</b>
        <button type="button" class="button" onClick={clearFilters}>
          {t("Clear the filter")}
        </button>
      </div>
    )
  }
  if (query.value.view !== "needs-reply") {
    return (
      <div class="mid">
        <b>{t("No conversations here")}</b>
      </div>
    )
  }
  const noOneWaits = (
    <div class="mid">
      <img src={url("inbox/shopbell.svg")} alt="" />
      <b>{t("No one is waiting")}</b>
      <p>{t("New conversations appear here.")}</p>
      <a class="quiet" href={href({ view: "snoozed" })}>
        {t("View snoozed")}
      </a>
    </div>
  )
  return hasFirstSteps() ? <FirstSteps instead={noOneWaits} /> : noOneWaits
}

const BONES = [
  [45, 90, 30],
  [35, 75, 30],
  [50, 84, 30],
]

function Skeleton() {
  const isLate = useLate()
  return (
    <ul class="rows" aria-busy="true" aria-label={t("Conversations")}>
      {isLate &&
        BONES.map(widths => (
          <li key={widths[0]}>
            <span class="row bones">
              <span class="who" style={{ "--s": "2.25rem" }} />
              <span class="what">
                {widths.map(width => (
                  <span key={width} class="bone" style={{ inlineSize: `${width}%` }} />
                ))}
              </span>
            </span>
          </li>
        ))}
    </ul>
  )
}
