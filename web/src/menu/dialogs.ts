import { signal } from "@preact/signals"
import type { StepName } from "../first-steps/steps"

export interface Confirmation {
  title: string
  text: string
  /** what the button says */
  action: string
  isDangerous?: boolean
  run: () => void
}

/** The question that is open. */
export const confirmation = signal<Confirmation | null>(null)

/** Ask before something that cannot be undone. */
export function confirm(asked: Confirmation): void {
  confirmation.value = asked
}

/** Which dialog is open: command menu, sheet of shortcuts, new conversation, or one of the first steps. */
export const openDialog = signal<"menu" | "keys" | "start" | StepName | null>(null)

/** Whether a dialog is open, or will be once its code is loaded. */
export function hasDialog(): boolean {
  return openDialog.peek() !== null || confirmation.peek() !== null
}

/** Close what is open. */
export function closeDialogs(): void {
  openDialog.value = null
  confirmation.value = null
}
