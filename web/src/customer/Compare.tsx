import { useSignal } from "@preact/signals"
import { useEffect } from "preact/hooks"
import { get, post } from "../api/client"
import type { Customer, PossibleSame } from "../api/types"
import { reason } from "../app/actions"
import { Dialog } from "../app/Dialog"
import { n, t } from "../app/i18n"
import { toast } from "../app/toast"
import { breakable } from "./breakable"
import { merge } from "./changes"

interface Plan {
  movingThreadIds: string[]
  stayingThreadIds: string[]
}

interface Props {
  customer: Customer
  other: PossibleSame
  onClose: () => void
  onMerged: () => void
}

/** Two customers side by side, and what a merge would do. */
export function Compare({ customer, other, onClose, onMerged }: Props) {
  const found = useSignal<{ profile: Customer; plan: Plan } | null>(null)
  useEffect(() => {
    void (async () => {
      try {
        const [profile, plan] = await Promise.all([
          get<Customer>(`api/customers/${other.customerId}/profile`),
          post<Plan>(`api/customers/${customer.id}/merge`, { otherCustomerId: other.customerId, preview: true }),
        ])
        found.value = { profile, plan }
      } catch (error) {
        toast({ text: reason(error), isError: true })
        onClose()
      }
    })()
  }, [])
  if (!found.value) return null
  const { profile, plan } = found.value
  const rows: [string, string | null, string | null][] = [
    [t("First name"), customer.firstName, profile.firstName],
    [t("Last name"), customer.lastName, profile.lastName],
    [t("Company"), customer.company, profile.company],
    [t("Email"), customer.emailAddress, profile.emailAddress],
    [t("Phone"), customer.phoneNumber, profile.phoneNumber],
  ]
  const moving = plan.movingThreadIds.length
  const staying = plan.stayingThreadIds.length
  return (
    <Dialog class="question compare" label={t("Compare")} onClose={onClose}>
      <h2>{t("Are they the same person?")}</h2>
      <table>
        <thead>
          <tr>
            <td />
            <th scope="col" dir="auto">
              {breakable(customer.displayName)}
            </th>
            <th scope="col" dir="auto">
              {breakable(other.displayName)}
            </th>
          </tr>
        </thead>
        <tbody>
          {rows
            .filter(([, one, two]) => one || two)
            .map(([name, one, two]) => (
              <tr key={name}>
                <th scope="row">{name}</th>
                <td dir="auto">{breakable(one ?? "–")}</td>
                <td dir="auto">{breakable(two ?? "–")}</td>
              </tr>
            ))}
        </tbody>
      </table>
      <p>
        {t("After the merge, there is one customer with the addresses of both.")}
        {moving > 0 && ` ${n("{count} conversation moves.", "{count} conversations move.", moving)}`}
        {staying > 0 &&
          ` ${n("{count} conversation stays as it is.", "{count} conversations stay as they are.", staying)}`}{" "}
        {t("You can undo the merge for 30 days.")}
      </p>
      <div class="acts">
        <button
          type="button"
          class="button main"
          onClick={async () => {
            onClose()
            if (await merge(customer, other.customerId)) onMerged()
          }}
        >
          {t("Merge")}
        </button>
        <button type="button" class="button" onClick={onClose}>
          {t("Cancel")}
        </button>
      </div>
    </Dialog>
  )
}
