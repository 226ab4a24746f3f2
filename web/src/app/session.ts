import { computed, signal } from "@preact/signals"
import { get } from "../api/client"
import { newest } from "../api/newest"
import type { Business, Me } from "../api/types"

const state = signal<Me | null>(null)

/** The employee who is signed in. Only what is shown after `loadSession` may read it. */
export const me = computed(() => {
  if (!state.value) throw new Error("The session is not loaded yet")
  return state.value
})

/** Read who is signed in, with the businesses and employees of the organization. */
export const loadSession = newest<Me | null>(state, () => get<Me>("api/me"))

/** Whether the employee may do something, in a business or, without one, in any business. */
export function may(permission: string, businessId?: string): boolean {
  const { permissions, businesses } = me.value
  if (permissions.includes(permission)) return true
  return businesses.some(
    each => (!businessId || each.businessId === businessId) && each.permissions.includes(permission),
  )
}

/** Whether the employee may do something in the whole organization. Merging customers needs this. */
export function mayEverywhere(permission: string): boolean {
  return me.value.permissions.includes(permission)
}

export function businessOf(businessId: string): Business | undefined {
  return me.value.businesses.find(each => each.businessId === businessId)
}

/** How often the session may be read again because of an unknown employee. */
const RELOAD_MS = 30_000
let reloadedAt = 0

/** The name of an employee of the organization. For a new employee, it arrives later. */
export function nameOf(employeeUserId: string): string | undefined {
  const name = me.value.employees.find(each => each.employeeUserId === employeeUserId)?.name
  if (name === undefined && Date.now() > reloadedAt + RELOAD_MS) {
    reloadedAt = Date.now()
    queueMicrotask(() => void loadSession().catch(() => {}))
  }
  return name
}
