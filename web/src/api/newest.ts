import type { Signal } from "@preact/signals"

/**
 * Create a function that reads something into a signal. A response never replaces that of a later request.
 * @returns the function; it fails as the request does
 */
export function newest<T>(into: Signal<T>, read: () => Promise<T>): () => Promise<void> {
  let asked = 0
  let shown = 0
  return async () => {
    const own = ++asked
    const found = await read()
    if (own < shown) return
    shown = own
    into.value = found
  }
}
