import { useSignal } from "@preact/signals"
import type { PossibleSame } from "../api/types"
import { t } from "../app/i18n"
import { lazy } from "../app/lazy"
import { invalidate } from "../conversation/cache"
import type { ShownThread } from "../conversation/shown"
import { dismiss } from "./changes"

const Compare = lazy(async () => (await import("./Compare")).Compare)

/** Customers who may be the same person. */
export function Duplicates({ content }: { content: ShownThread }) {
  const { possibleDuplicates, customer, thread } = content
  const compared = useSignal<PossibleSame | null>(null)
  if (!possibleDuplicates.length) return null
  return (
    <section>
      <h3>{t("Perhaps the same person")}</h3>
      {possibleDuplicates.map(each => (
        <div key={each.customerId} class="perhaps">
          <p dir="auto">{each.displayName}</p>
          <div class="tags">
            <button
              type="button"
              onClick={() => {
                compared.value = each
              }}
            >
              {t("Compare")}
            </button>
            <button
              type="button"
              onClick={async () => {
                if (await dismiss(customer.id, each.customerId)) void invalidate(thread.customerThreadId)
              }}
            >
              {t("Not the same")}
            </button>
          </div>
        </div>
      ))}
      {compared.value && (
        <Compare
          customer={customer}
          other={compared.value}
          onClose={() => {
            compared.value = null
          }}
          onMerged={() => void invalidate(thread.customerThreadId)}
        />
      )}
    </section>
  )
}
