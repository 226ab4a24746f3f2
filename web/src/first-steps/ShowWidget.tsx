import { useSignal } from "@preact/signals"
import { useEffect } from "preact/hooks"
import { ApiError, get, post } from "../api/client"
import type { PublishableKeyOut, PublishableKeys } from "../api/types"
import { reason } from "../app/actions"
import { Icon } from "../app/Icon"
import { t } from "../app/i18n"
import { url } from "../app/paths"
import { me } from "../app/session"
import { CloseButton } from "./CloseButton"
import { Command } from "./Command"
import { StepForm } from "./StepForm"
import { firstSteps, followFirstSteps } from "./steps"

/** The line of HTML that shows the widget, with a key for the website; and whether it works. */
export function ShowWidget() {
  const key = useSignal<PublishableKeyOut | null>(null)
  const business = me.value.businesses.find(each => each.active)?.businessId ?? "ID"
  useEffect(followFirstSteps, [])
  useEffect(() => {
    void get<PublishableKeys>("api/publishable-keys")
      .then(({ publishableKeys }) => {
        key.value ??= publishableKeys.findLast(each => !each.revokedAt) ?? null
      })
      .catch(() => {}) // then the employee creates one
  }, [])
  if (!key.value) {
    return (
      <StepForm
        action={t("Continue")}
        faultOf={failure =>
          failure instanceof ApiError && failure.status === 400
            ? t("Please check the address. It looks like https://shop.example, without a path.")
            : reason(failure)
        }
        send={async given => {
          const body = { allowedOrigins: [originOf(given("site"))] }
          key.value = await post<PublishableKeyOut>("api/publishable-keys", body)
        }}
      >
        <label>
          {t("Address of your website")}
          <input name="site" required placeholder="https://shop.example" autocomplete="url" dir="ltr" />
        </label>
      </StepForm>
    )
  }
  const { key: text, businessId, allowedOrigins } = key.value
  return (
    <>
      <p>{t("Put this line into the pages of {site}:", { site: allowedOrigins.join(", ") })}</p>
      <Command
        text={`<script async src="${url("widget.js")}" data-key="${text}" data-business="${businessId ?? business}"></script>`}
      />
      <p class={firstSteps.value?.hasWidget ? "check" : "check open"} role="status">
        <Icon name={firstSteps.value?.hasWidget ? "circle-check" : "clock"} />
        {firstSteps.value?.hasWidget
          ? t("The chat works: a visitor has written in it.")
          : t("Now open your site and write a message in the chat.")}
      </p>
      <div class="acts">
        <CloseButton />
      </div>
    </>
  )
}

/** The origin of what is entered, which may be the address of a page. */
function originOf(site: string): string {
  try {
    return new URL(/^https?:/.test(site) ? site : `https://${site}`).origin
  } catch {
    return site
  }
}
