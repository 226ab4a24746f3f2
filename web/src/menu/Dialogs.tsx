import "./dialogs.css"
import { lazy } from "../app/lazy"
import type { StepName } from "../first-steps/steps"
import { CommandMenu } from "./CommandMenu"
import { Confirm } from "./Confirm"
import { confirmation, openDialog } from "./dialogs"
import { Keys } from "./Keys"
import { NewConversation } from "./NewConversation"

const StepDialog = lazy<{ name: StepName }>(async () => (await import("../first-steps/StepDialog")).StepDialog)

/** The dialog that is open. */
export function Dialogs() {
  if (confirmation.value) return <Confirm {...confirmation.value} />
  switch (openDialog.value) {
    case "menu":
      return <CommandMenu />
    case "keys":
      return <Keys />
    case "start":
      return <NewConversation />
    case null:
      return null
    default:
      return <StepDialog name={openDialog.value} />
  }
}
