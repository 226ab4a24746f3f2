import { t } from "../app/i18n"
import { openDialog } from "../menu/dialogs"
import { readFirstSteps } from "./steps"

/** Close the dialog of a step, and look whether the step is done. */
export function closeStep(): void {
  openDialog.value = null
  void readFirstSteps()
}

export function CloseButton() {
  return (
    <button type="button" class="button" onClick={closeStep}>
      {t("Close")}
    </button>
  )
}
