import "./first-steps.css"
import { useSignal } from "@preact/signals"
import type { VNode } from "preact"
import { useEffect } from "preact/hooks"
import { Icon } from "../app/Icon"
import { t } from "../app/i18n"
import type { IconName } from "../app/icon-names"
import { openDialog } from "../menu/dialogs"
import { firstSteps, followFirstSteps, hideFirstSteps, isDone, readFirstSteps, type StepName } from "./steps"

interface Step {
  name: StepName
  icon: IconName
  text: string
  more: string
  action: string
}

/**
 * What an owner does before the first conversation.
 * @param instead what stands here without steps; with them, it is shown once there was a conversation
 */
export function FirstSteps({ instead }: { instead: VNode }) {
  const isAsked = useSignal(false)
  const found = firstSteps.value
  useEffect(() => {
    void readFirstSteps().finally(() => {
      isAsked.value = true
    })
    return followFirstSteps()
  }, [])
  useEffect(() => {
    if (found && Object.values(found).every(Boolean)) hideFirstSteps()
  }, [found])
  if (!found) return isAsked.value ? instead : null
  const all = steps()
  const next = all.find(each => !isDone(each.name, found))
  return (
    <>
      {found.hasConversation && instead}
      <section class="first-steps" aria-label={t("First steps")}>
        <h3>{t("First steps")}</h3>
        <ol>
          <li class="done">
            <Icon name="circle-check" />
            <span>{t("You are signed in as owner")}</span>
          </li>
          {all.map(step => (
            <Item key={step.name} step={step} isDone={isDone(step.name, found)} isNext={step === next} />
          ))}
        </ol>
        <button type="button" class="quiet" onClick={hideFirstSteps}>
          {t("Hide the first steps")}
        </button>
      </section>
    </>
  )
}

function Item({ step, isDone, isNext }: { step: Step; isDone: boolean; isNext: boolean }) {
  if (isDone) {
    return (
      <li class="done">
        <Icon name="circle-check" />
        <span>
          {step.text}
          <span class="unseen"> ({t("done")})</span>
        </span>
      </li>
    )
  }
  return (
    <li class={isNext ? "now" : undefined}>
      <Icon name={step.icon} />
      <span>
        {step.text}
        <small>{step.more}</small>
      </span>
      <button
        type="button"
        class={`button${isNext ? " main" : ""}`}
        onClick={() => {
          openDialog.value = step.name
        }}
      >
        {step.action}
        <span class="unseen">: {step.text}</span>
      </button>
    </li>
  )
}

function steps(): Step[] {
  return [
    {
      name: "business",
      icon: "building-2",
      text: t("Create a business"),
      more: t("Customers write to it."),
      action: t("Create"),
    },
    {
      name: "widget",
      icon: "message-circle",
      text: t("Add the chat to your site"),
      more: t("One line of HTML. Then write a message there: it appears here."),
      action: t("Show it"),
    },
    {
      name: "message",
      icon: "globe",
      text: t("Send a first message through the API"),
      more: t("With one command in a terminal."),
      action: t("Show it"),
    },
    {
      name: "team",
      icon: "user-round-plus",
      text: t("Invite your team"),
      more: t("Each person gets a link to set a password."),
      action: t("Invite"),
    },
    {
      name: "email",
      icon: "mail",
      text: t("Set up email"),
      more: t("Customers who have left the site then get your replies."),
      action: t("Show it"),
    },
  ]
}
