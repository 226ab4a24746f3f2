import { ApiError, post } from "../api/client"
import type { Customer } from "../api/types"
import { reason } from "../app/actions"
import { t } from "../app/i18n"
import { toast } from "../app/toast"
import { confirm } from "../menu/dialogs"

/** Change fields of a profile; returns whether that succeeded. The stream brings the new profile. */
export async function updateProfile({ id }: Customer, fields: object): Promise<boolean> {
  if (!Object.keys(fields).length) return true
  return tried(() => post(`api/customers/${id}/profile/update`, fields))
}

export async function block(customer: Customer, isBlocked: boolean): Promise<void> {
  const { id, displayName: name } = customer
  if (!(await tried(() => post(`api/customers/${id}/${isBlocked ? "block" : "unblock"}`, {})))) return
  toast({
    text: isBlocked ? t("{name}: blocked", { name }) : t("{name}: no longer blocked", { name }),
    undo: () => void block(customer, !isBlocked),
  })
}

export function erase({ id, displayName: name }: Customer): void {
  confirm({
    title: t("Erase {name} for good?", { name }),
    text: t(
      "Everything known about this customer is deleted: name, addresses, messages and files. The conversations stay, without content. This cannot be undone.",
    ),
    action: t("Erase for good"),
    isDangerous: true,
    run: async () => {
      if (await tried(() => post(`api/customers/${id}/erase`, {}))) toast({ text: t("{name}: erased", { name }) })
    },
  })
}

/** Make one customer of two. It can be undone. */
export async function merge(customer: Customer, otherCustomerId: string): Promise<boolean> {
  const { displayName: name } = customer
  return tried(async () => {
    const { mergeId } = await post<{ mergeId: string }>(`api/customers/${customer.id}/merge`, { otherCustomerId })
    toast({
      text: t("{name}: merged", { name }),
      undo: () => {
        void tried(() => post(`api/customers/merges/${mergeId}/undo`, {})).then(isDone => {
          if (isDone) toast({ text: t("{name}: no longer merged", { name }) })
        })
      },
    })
  })
}

export async function dismiss(customerId: string, otherCustomerId: string): Promise<boolean> {
  return tried(() => post("api/customers/possible-duplicates/dismiss", { customerId, otherCustomerId }))
}

async function tried(run: () => Promise<unknown>): Promise<boolean> {
  try {
    await run()
    return true
  } catch (error) {
    const isRefused = error instanceof ApiError && (error.status === 409 || error.status === 400)
    toast({
      text: isRefused
        ? t("The server refused this change: the customer has changed, or the text is not valid.")
        : reason(error),
      isError: true,
    })
    return false
  }
}
