import { signal } from "@preact/signals"
import { getAll, post } from "../api/client"
import { newest } from "../api/newest"
import type { SavedView } from "../api/types"
import { reason } from "../app/actions"
import { type Route, VIEWS } from "../app/router"
import { toast } from "../app/toast"
import { refreshCounts } from "./counts"

/** The saved views of the employee, and those that other employees share. */
export const savedViews = signal<readonly SavedView[]>([])

const read = newest(savedViews, () => getAll<SavedView>("api/saved-views", "savedViews"))

export async function loadSavedViews(): Promise<void> {
  await read().catch(() => {}) // those that are known stay
}

/** The URL of a saved view. */
export function routeOf({ query }: SavedView): Route {
  const filters = new URLSearchParams(query)
  const view = VIEWS.find(each => each === filters.get("view")) ?? "needs-reply"
  filters.delete("view")
  filters.sort()
  return { view, threadId: null, filters }
}

/** Whether the URL shows a saved view. */
export function isShown(saved: SavedView, { view, filters }: Route): boolean {
  const its = routeOf(saved)
  const own = new URLSearchParams(filters)
  own.sort()
  return its.view === view && its.filters.toString() === own.toString()
}

export async function saveView(name: string, { view, filters }: Route, shared: boolean): Promise<void> {
  const query = new URLSearchParams([["view", view], ...filters]).toString()
  await change("api/saved-views", { name, query, shared })
}

export async function deleteView({ savedViewId }: SavedView): Promise<void> {
  await change(`api/saved-views/${savedViewId}/delete`, {})
}

async function change(path: string, body: object): Promise<void> {
  try {
    await post(path, body)
    await loadSavedViews()
    refreshCounts()
  } catch (error) {
    toast({ text: reason(error), isError: true })
  }
}
