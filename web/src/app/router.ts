import { computed, signal } from "@preact/signals"
import { url } from "./paths"

export const VIEWS = ["needs-reply", "mine", "unassigned", "mentions", "snoozed", "open", "resolved"] as const
export type ViewName = (typeof VIEWS)[number]

/** What the URL says: `/inbox/{view}/{threadId}?{filters}`. */
export interface Route {
  view: ViewName
  /** the open conversation */
  threadId: string | null
  /** `businessId`, `assigneeUserId`, `tagId`, `channel`, `sort` */
  filters: URLSearchParams
}

const HOME = new URL(url("inbox/"))

function read(): Route {
  const [view, threadId] = location.pathname.slice(HOME.pathname.length).split("/")
  return {
    view: VIEWS.find(each => each === view) ?? "needs-reply",
    threadId: threadId && /^\d{1,16}$/.test(threadId) ? threadId : null,
    filters: new URLSearchParams(location.search),
  }
}

const state = signal(read())

/** The current route. */
export const route = computed(() => state.value)

/** The URL of a route; what is not given stays as it is. What is drawn with it follows the address. */
export function href(to: Partial<Route>): string {
  const { view, threadId, filters } = { ...state.value, ...to }
  return url(threadId ? `inbox/${view}/${threadId}` : `inbox/${view}`, filters)
}

/** Go to a route. `replace` leaves no entry in the history. */
export function go(to: Partial<Route>, { replace = false } = {}): void {
  const target = href(to)
  if (target !== location.href) history[replace ? "replaceState" : "pushState"](null, "", target)
  state.value = read()
}

addEventListener("popstate", () => {
  state.value = read()
})

// Links within the inbox change the route; with a modifier key they open a tab, as links do.
addEventListener("click", event => {
  const link = (event.target as Element).closest?.("a")
  if (!link || event.defaultPrevented || event.button || event.metaKey || event.ctrlKey || event.shiftKey) return
  if (link.target || link.origin !== HOME.origin || !`${link.pathname}/`.startsWith(HOME.pathname)) return
  event.preventDefault()
  history.pushState(null, "", link.href)
  state.value = read()
})
