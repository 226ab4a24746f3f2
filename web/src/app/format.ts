import { LANGUAGE, t } from "./i18n"

const MINUTE_MS = 60_000
const HOUR_MS = 60 * MINUTE_MS
const DAY_MS = 24 * HOUR_MS

/** Dates are written for the region of the browser, if it speaks the language of the page. */
const LOCALE = navigator.languages.find(tag => tag.split("-")[0] === LANGUAGE.split("-")[0]) ?? LANGUAGE

const formats = new Map<string, Intl.DateTimeFormat>()

function format(options: Intl.DateTimeFormatOptions, at: number): string {
  const key = JSON.stringify(options)
  const found = formats.get(key) ?? new Intl.DateTimeFormat(LOCALE, options)
  formats.set(key, found)
  return found.format(at)
}

export function number(value: number): string {
  return value.toLocaleString(LOCALE)
}

/** A duration in its two largest units: `3 h 12 m`. */
export function duration(ms: number): string {
  const days = Math.floor(ms / DAY_MS)
  const hours = Math.floor((ms % DAY_MS) / HOUR_MS)
  const minutes = Math.max(0, Math.floor((ms % HOUR_MS) / MINUTE_MS))
  if (days) return hours ? t("{days} d {hours} h", numbers({ days, hours })) : t("{days} d", numbers({ days }))
  if (hours)
    return minutes ? t("{hours} h {minutes} m", numbers({ hours, minutes })) : t("{hours} h", numbers({ hours }))
  return minutes ? t("{minutes} m", numbers({ minutes })) : t("now")
}

function numbers<Names extends string>(values: Record<Names, number>): Record<Names, string> {
  return Object.fromEntries(Object.entries<number>(values).map(([name, value]) => [name, number(value)])) as never
}

/** A time of day: `16:41`. */
export function time(at: number): string {
  return format({ hour: "numeric", minute: "2-digit" }, at)
}

/** A point in time that may be far away: `16:41`, `Tue 16:41`, `3 March`, `3 March 2024`. */
export function moment(at: number, now: number): string {
  if (isSameDay(at, now)) return time(at)
  if (Math.abs(at - now) < 6 * DAY_MS) return format({ weekday: "short", hour: "numeric", minute: "2-digit" }, at)
  return day(at, now)
}

/** A day: `Thursday, 26 November`; with the year if it is another one. */
export function longDay(at: number, now: number): string {
  if (isSameDay(at, now)) return t("Today")
  return format({ weekday: "long", day: "numeric", month: "long", ...yearOf(at, now) }, at)
}

function day(at: number, now: number): string {
  return format({ day: "numeric", month: "short", ...yearOf(at, now) }, at)
}

function yearOf(at: number, now: number): Intl.DateTimeFormatOptions {
  return new Date(at).getFullYear() === new Date(now).getFullYear() ? {} : { year: "numeric" }
}

export function isSameDay(one: number, other: number): boolean {
  return new Date(one).toDateString() === new Date(other).toDateString()
}

/** How long ago something was: `20 seconds ago`, `26 hours ago`, `3 days ago`. */
export function ago(at: number, now: number): string {
  const seconds = Math.max(1, Math.round((now - at) / 1000))
  const format = new Intl.RelativeTimeFormat(LOCALE, { numeric: "auto" })
  if (seconds < 60) return format.format(-seconds, "second")
  if (seconds < 3_600) return format.format(-Math.round(seconds / 60), "minute")
  if (seconds < 48 * 3_600) return format.format(-Math.round(seconds / 3_600), "hour")
  return format.format(-Math.round(seconds / 86_400), "day")
}

/** `Ben, Ana and Jonas` */
export function listed(names: readonly string[]): string {
  return new Intl.ListFormat(LOCALE).format(names)
}

/** `1.8 MB` */
export function bytes(length: number): string {
  const power = Math.min(3, Math.max(0, Math.floor(Math.log10(Math.max(1, length)) / 3)))
  const unit = ["byte", "kilobyte", "megabyte", "gigabyte"][power] as string
  return new Intl.NumberFormat(LOCALE, {
    style: "unit",
    unit,
    unitDisplay: power ? "short" : "long",
    maximumFractionDigits: power > 1 ? 1 : 0,
  }).format(length / 1000 ** power)
}

/** `March 2024` */
export function month(at: number): string {
  return format({ month: "long", year: "numeric" }, at)
}

/** The name of a language in the language of the page: `French`. */
export function language(tag: string): string {
  try {
    return new Intl.DisplayNames(LOCALE, { type: "language" }).of(tag) ?? tag
  } catch {
    return tag
  }
}
