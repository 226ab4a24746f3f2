import { post } from "../api/client"
import { LANGUAGE, t } from "../app/i18n"
import { loadSession } from "../app/session"
import { closeStep } from "./CloseButton"
import { StepForm } from "./StepForm"

/** The name, language and time zone of a first business. */
export function CreateBusiness() {
  const { timeZone } = new Intl.DateTimeFormat().resolvedOptions()
  return (
    <StepForm
      action={t("Create")}
      send={async given => {
        await post("api/businesses", { name: given("name"), locale: LANGUAGE, timeZone })
        await loadSession()
        closeStep()
      }}
    >
      <label>
        {t("Name, as customers see it")}
        <input name="name" required maxLength={200} autocomplete="organization" dir="auto" />
      </label>
      <p>{t("It gets the language and the time zone of this browser. You can change them through the API.")}</p>
    </StepForm>
  )
}
