import { useSignal } from "@preact/signals"
import { useRef } from "preact/hooks"
import { ApiError, post } from "../api/client"
import type { Invited } from "../api/types"
import { reason } from "../app/actions"
import { Icon } from "../app/Icon"
import { LANGUAGE, t } from "../app/i18n"
import { CloseButton } from "./CloseButton"
import { Command } from "./Command"
import { StepForm } from "./StepForm"
import { readFirstSteps } from "./steps"

function faultOf(failure: unknown): string {
  if (failure instanceof ApiError && failure.status === 400) return t("Please check the name and the email address.")
  if (failure instanceof ApiError && failure.status === 409) return t("An employee with this address exists already.")
  return reason(failure)
}

/** Create an employee and invite them. Without a mail server, the link is shown. */
export function InviteColleague() {
  const invited = useSignal<(Invited & { name: string }) | null>(null)
  // If a later request fails, the next attempt goes on with the employee who was created.
  const created = useRef<{ id: string; email: string } | null>(null)

  async function invite(given: (name: string) => string): Promise<void> {
    const [name, email] = [given("name"), given("email")]
    if (created.current?.email !== email) {
      created.current = { email, ...(await post<{ id: string }>("api/employees", { name, email })) }
    }
    const path = `api/employees/${created.current.id}`
    await post(`${path}/roles`, { role: given("role") })
    invited.value = { ...(await post<Invited>(`${path}/invite`, { locale: LANGUAGE })), name }
    created.current = null
    void readFirstSteps()
  }

  if (invited.value) {
    const { name, link, sent } = invited.value
    return (
      <>
        {sent ? (
          <p class="check" role="status">
            <Icon name="circle-check" />
            {t("{name} gets an email with a link. It works for seven days.", { name })}
          </p>
        ) : (
          <>
            <p role="status">
              {t("No email could be sent. Give {name} this link. It works once, for seven days.", { name })}
            </p>
            <Command text={link} />
          </>
        )}
        <div class="acts">
          <button
            type="button"
            class="button"
            onClick={() => {
              invited.value = null
            }}
          >
            {t("Invite another person")}
          </button>
          <CloseButton />
        </div>
      </>
    )
  }
  return (
    <StepForm action={t("Invite")} faultOf={faultOf} send={invite}>
      <label>
        {t("Name")}
        <input name="name" required maxLength={200} autocomplete="off" dir="auto" />
      </label>
      <label>
        {t("Email address")}
        <input name="email" type="email" required autocomplete="off" dir="ltr" />
      </label>
      <label>
        {t("Role")}
        <select name="role">
          <option value="member">{t("Member: answers customers")}</option>
          <option value="manager">{t("Manager: also manages colleagues and saved replies")}</option>
          <option value="owner">{t("Owner: may do everything")}</option>
        </select>
      </label>
    </StepForm>
  )
}
