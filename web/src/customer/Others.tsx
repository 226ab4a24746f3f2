import { clock } from "../app/clock"
import { moment } from "../app/format"
import { t } from "../app/i18n"
import { href } from "../app/router"
import { businessOf } from "../app/session"
import type { ShownThread } from "../conversation/shown"
import { swatch } from "../views/swatch"

/** Other conversations of the customer. */
export function Others({ content: { otherThreads } }: { content: ShownThread }) {
  if (!otherThreads.length) return null
  return (
    <section class="also">
      <h3>{t("Other conversations")}</h3>
      <ul>
        {otherThreads.map(({ customerThreadId, businessId, status, lastMessageAt }) => {
          const business = businessOf(businessId)
          const time = moment(lastMessageAt, clock.value)
          return (
            <li key={customerThreadId}>
              <a href={href({ threadId: customerThreadId })}>
                {business && swatch(business)}
                <span class="cut">{business?.name}</span>
                <span class="age">
                  {status === "resolved"
                    ? t("Resolved, {time}", { time })
                    : status === "replied"
                      ? t("Replied, {time}", { time })
                      : t("Waiting, {time}", { time })}
                </span>
              </a>
            </li>
          )
        })}
      </ul>
    </section>
  )
}
