import "./first-steps.css"
import { Dialog } from "../app/Dialog"
import { t } from "../app/i18n"
import { url } from "../app/paths"
import { me } from "../app/session"
import { CloseButton, closeStep } from "./CloseButton"
import { Command } from "./Command"
import { CreateBusiness } from "./CreateBusiness"
import { InviteColleague } from "./InviteColleague"
import { ShowWidget } from "./ShowWidget"
import type { StepName } from "./steps"

/** How to do one of the first steps. */
export function StepDialog({ name }: { name: StepName }) {
  const titles: Record<StepName, string> = {
    business: t("Create a business"),
    widget: t("Add the chat to your site"),
    message: t("Send a first message through the API"),
    team: t("Invite your team"),
    email: t("Set up email"),
  }
  return (
    <Dialog class="question start step" label={titles[name]} onClose={closeStep}>
      <h2>{titles[name]}</h2>
      {name === "business" && <CreateBusiness />}
      {name === "widget" && <ShowWidget />}
      {name === "message" && <SendMessage />}
      {name === "team" && <InviteColleague />}
      {name === "email" && <SetUpEmail />}
    </Dialog>
  )
}

function SendMessage() {
  const { organization, businesses } = me.value
  const body = {
    businessId: businesses.find(each => each.active)?.businessId ?? "ID",
    message: "Hello, I need help with my order.",
    user: { email: "customer@example.com" },
  }
  const command = [
    `curl -sS -X POST ${url("api/widget/send-message-to-business")}`,
    "-H 'token: TOKEN' -H 'Content-Type: application/json'",
    `-d '${JSON.stringify(body)}'`,
  ]
  return (
    <>
      <p>{t("Create a token on the server:")}</p>
      <Command text={`shopbell token create --organization ${organization.organizationId}`} />
      <p>{t("Put it in the place of TOKEN, and run this command. The message then appears in the inbox.")}</p>
      <Command text={command.join(" \\\n  ")} />
      <div class="acts">
        <CloseButton />
      </div>
    </>
  )
}

const MAIL_SETTINGS = `SHOPBELL_SMTP_URL=smtps://USER:PASSWORD@smtp.example.com:465
SHOPBELL_MAIL_FROM=shop@example.com`

function SetUpEmail() {
  return (
    <>
      <p>{t("Set these variables on the server with the values of your email provider, and start it again:")}</p>
      <Command text={MAIL_SETTINGS} />
      <p>{t("Then send a test email:")}</p>
      <Command text={`shopbell mail test ${me.value.email}`} />
      <div class="acts">
        <CloseButton />
      </div>
    </>
  )
}
