import { moment } from "./format"
import { t } from "./i18n"
import { ask } from "./picker"

interface Asked {
  label: string
  /** the name of the customer */
  scope?: string
  /** offered if they are in the future, in Unix ms; of two for the same moment, the first */
  choices: readonly (readonly [text: string, at: number])[]
  answer: (at: number) => void
}

/** Let the employee choose a future time: a suggested one, or any other. */
export function askTime({ choices, answer, ...asked }: Asked): void {
  const now = Date.now()
  ask({
    ...asked,
    // Each moment once: on a Sunday, tomorrow morning is also next Monday.
    options: choices
      .filter(([, at], i) => at > now && choices.findIndex(([, other]) => other === at) === i)
      .map(([text, at]) => ({ id: String(at), text, more: moment(at, now) })),
    answer: ([at]) => answer(Number(at)),
    moment: { text: t("Date and time"), answer },
  })
}

/** A time of day, in Unix ms, some days from today. */
export function atHour(days: number, hour: number): number {
  return new Date().setHours(24 * days + hour, 0, 0, 0)
}

export function inHours(hours: number): number {
  return Date.now() + hours * 3_600_000
}

/** The days until next Monday; a week on a Monday. */
export function daysToMonday(): number {
  return (8 - new Date().getDay()) % 7 || 7
}
