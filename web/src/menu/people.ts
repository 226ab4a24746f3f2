import { ApiError, get } from "../api/client"
import { reason } from "../app/actions"
import { go } from "../app/router"
import { may } from "../app/session"
import { toast } from "../app/toast"
import { openDialog } from "./dialogs"
import { startWith } from "./start"

/** A customer, as `GET /api/customers` lists them. */
export interface Found {
  id: string
  displayName: string
  emailAddresses: string[]
  phoneNumbers: string[]
}

export interface Person {
  id: string
  name: string
  more: string
  run: () => void
}

const SHOWN = 5

/** Search customers by name, email address or phone number. */
export async function searchCustomers(typed: string, signal: AbortSignal): Promise<Found[]> {
  if (!may("customers:read")) return []
  const by = typed.includes("@") ? "email" : /^\+?[\d\s()/.-]{5,}$/.test(typed) ? "phoneNumber" : "name"
  try {
    const query = { [by]: typed, limit: SHOWN }
    return (await get<{ customers: Found[] }>("api/customers", query, { signal })).customers
  } catch (error) {
    // An address that is not complete yet is not valid.
    if (error instanceof ApiError && error.status === 400) return []
    throw error
  }
}

export async function findPeople(typed: string, signal: AbortSignal): Promise<Person[]> {
  const found = await searchCustomers(typed, signal)
  return found.map(customer => ({
    id: `customer-${customer.id}`,
    name: customer.displayName,
    more: customer.emailAddresses[0] ?? customer.phoneNumbers[0] ?? "",
    run: () => void openCustomer(customer),
  }))
}

/** Open the customer's most recent conversation, or begin one. */
async function openCustomer(customer: Found): Promise<void> {
  try {
    const query = { customerId: customer.id, limit: 100 }
    const { threads } = await get<{ threads: { customerThreadId: string; updatedAt: number }[] }>("api/threads", query)
    const [last] = threads.toSorted((one, other) => other.updatedAt - one.updatedAt)
    if (last) go({ threadId: last.customerThreadId })
    else if (may("threads:write")) {
      startWith.value = customer
      openDialog.value = "start"
    }
  } catch (error) {
    toast({ text: reason(error), isError: true })
  }
}
