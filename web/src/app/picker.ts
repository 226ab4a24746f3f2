import { signal } from "@preact/signals"
import type { ComponentChildren } from "preact"

export interface Option {
  id: string
  text: string
  /** shown after the text, in a weaker color */
  more?: string
  icon?: () => ComponentChildren
}

export interface Question {
  /** the question: the label of the field */
  label: string
  /** what the choice is for, such as the name of the customer */
  scope?: string
  /** a function may read signals: its options can still come while the dialog is open */
  options: readonly Option[] | (() => readonly Option[])
  /** called with the chosen options: one, or those that are on at the end if `several` */
  answer: (ids: string[]) => void
  several?: boolean
  /** the options that are on at first, if `several` */
  on?: readonly string[]
  /** makes a new option from a text that no option has */
  create?: { text: (typed: string) => string; run: (typed: string) => void }
  /** also offers a date and time */
  moment?: { text: string; answer: (at: number) => void }
}

/** The question that is open. */
export const question = signal<Question | null>(null)

/** Let the employee choose, in a dialog with a field that filters. */
export function ask(asked: Question): void {
  question.value = asked
}
