import type { ComponentChildren } from "preact"
import { useEffect, useRef } from "preact/hooks"
import { language, month } from "../app/format"
import { t } from "../app/i18n"
import type { ShownThread } from "../conversation/shown"
import { breakable } from "./breakable"
import { updateProfile } from "./changes"

interface Props {
  content: ShownThread
  isEditing: boolean
  end: () => void
}

type Field = "firstName" | "lastName" | "company"

/** What is known about the customer; some of it can be changed in place. */
export function Facts({ content: { customer }, isEditing, end }: Props) {
  const form = useRef<HTMLFormElement>(null)
  useEffect(() => {
    if (isEditing) form.current?.querySelector("input")?.focus()
  }, [isEditing])
  const { emailAddress, phoneNumber, unverifiedEmailAddress, unverifiedPhoneNumber, createdAt } = customer
  const locale = customer.customerData.find(each => each.name === "LOCALE")?.value
  const survey = customer.lastSurveys.nps?.text
  const names: Record<Field, string> = {
    firstName: t("First name"),
    lastName: t("Last name"),
    company: t("Company"),
  }

  async function save(): Promise<void> {
    const data = new FormData(form.current as HTMLFormElement)
    const changed: Partial<Record<Field, string>> = {}
    for (const name of Object.keys(names) as Field[]) {
      const value = String(data.get(name)).trim()
      if (value !== (customer[name] ?? "")) changed[name] = value
    }
    if (await updateProfile(customer, changed)) end()
  }
  const facts = (
    <dl>
      {isEditing ? (
        (Object.keys(names) as Field[]).map(name => (
          <Fact key={name} name={<label for={`fact-${name}`}>{names[name]}</label>}>
            <input id={`fact-${name}`} name={name} dir="auto" maxLength={200} defaultValue={customer[name] ?? ""} />
          </Fact>
        ))
      ) : (
        <Fact name={names.company}>{customer.company && <bdi>{customer.company}</bdi>}</Fact>
      )}
      <Fact name={t("Email")}>{emailAddress && <bdi dir="ltr">{breakable(emailAddress)}</bdi>}</Fact>
      <Fact name={t("Phone")}>{phoneNumber && <bdi dir="ltr">{phoneNumber}</bdi>}</Fact>
      {!emailAddress && (
        <Fact name={t("Email")}>{unverifiedEmailAddress && <Claim is={unverifiedEmailAddress} />}</Fact>
      )}
      {!phoneNumber && <Fact name={t("Phone")}>{unverifiedPhoneNumber && <Claim is={unverifiedPhoneNumber} />}</Fact>}
      <Fact name={t("Language")}>{locale && language(locale)}</Fact>
      <Fact name={t("Customer")}>{createdAt && t("since {month}", { month: month(createdAt) })}</Fact>
      <Fact name={t("Last survey")}>{survey && t("{score} of 10", { score: survey })}</Fact>
    </dl>
  )
  if (!isEditing) return <section>{facts}</section>
  return (
    <section>
      <form
        ref={form}
        class="editing"
        aria-label={t("Profile")}
        onSubmit={event => {
          event.preventDefault()
          void save()
        }}
        onKeyDown={event => {
          if (event.key !== "Escape") return
          event.stopPropagation()
          end()
        }}
      >
        {facts}
        <div class="acts">
          <button type="submit" class="button main">
            {t("Save")}
          </button>
          <button type="button" class="button" onClick={end}>
            {t("Cancel")}
          </button>
        </div>
      </form>
    </section>
  )
}

/** A fact; nothing if it is not known. */
function Fact({ name, children }: { name: ComponentChildren; children: ComponentChildren }) {
  if (!children) return null
  return (
    <>
      <dt>{name}</dt>
      <dd>{children}</dd>
    </>
  )
}

/** An address that a visitor entered; it may belong to someone else. */
function Claim({ is: address }: { is: string }) {
  return (
    <>
      <bdi dir="ltr">{breakable(address)}</bdi> <small>{t("not confirmed")}</small>
    </>
  )
}
