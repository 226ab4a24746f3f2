import { signal } from "@preact/signals"

const SHOWN_MS = 8_000

interface Toast {
  text: string
  /** the action that takes it back */
  undo?: () => void
  isError?: boolean
}

/** The message at the bottom of the page. */
export const shownToast = signal<Toast | null>(null)

let end: ReturnType<typeof setTimeout> | undefined

/** Show a message for eight seconds. A new one replaces it. */
export function toast(said: Toast): void {
  shownToast.value = said
  restartToast()
}

/** Keep the toast while the pointer or the focus is on it. */
export function holdToast(): void {
  clearTimeout(end)
}

export function restartToast(): void {
  clearTimeout(end)
  end = setTimeout(() => {
    shownToast.value = null
  }, SHOWN_MS)
}

export function closeToast(): void {
  clearTimeout(end)
  shownToast.value = null
}
