import type { Customer, InboxThread, OpenThread } from "../api/types"
import { t } from "../app/i18n"

/** A conversation as it is shown: it has a customer, even if the employee may see only the name. */
export interface ShownThread extends OpenThread {
  customer: Customer
  mayReadCustomer: boolean
  /** when the server was asked for it, by `tick` */
  askedAt: number
}

export function shownThread(content: OpenThread, askedAt: number): ShownThread {
  const { customer, thread } = content
  const displayName = customer?.editable === false ? t("Erased customer") : nameIn(thread)
  return {
    ...content,
    askedAt,
    mayReadCustomer: customer !== null,
    // Without a name, the profile shows an id, which says nothing to people.
    customer: customer ? { ...customer, displayName } : { ...UNKNOWN, id: thread.customerId, displayName },
  }
}

/** The name of the customer of a conversation. */
export function nameIn({ customerName, customerId }: InboxThread): string {
  return customerName ?? t("Customer {id}", { id: customerId })
}

const UNKNOWN: Omit<Customer, "id" | "displayName"> = {
  type: "prospect",
  channel: "WEB",
  editable: true,
  emailAddress: null,
  phoneNumber: null,
  firstName: null,
  lastName: null,
  company: null,
  customerData: [],
  lastSurveys: { nps: null },
  unverifiedEmailAddress: null,
  unverifiedPhoneNumber: null,
  createdAt: 0,
  blockedAt: null,
}
