import { signal } from "@preact/signals"

export const THEMES = ["auto", "light", "dark"] as const
type Theme = (typeof THEMES)[number]

const KEY = "shopbell.theme"

/** Light, dark, or like the system. It is kept in this browser. */
export const theme = signal<Theme>(THEMES.find(each => each === localStorage.getItem(KEY)) ?? "auto")

export function setTheme(to: Theme): void {
  theme.value = to
  localStorage.setItem(KEY, to)
  document.documentElement.dataset.theme = to
}

document.documentElement.dataset.theme = theme.peek()
