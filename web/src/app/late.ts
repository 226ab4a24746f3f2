import { useSignal } from "@preact/signals"
import { useEffect } from "preact/hooks"

const SHOWN_AFTER_MS = 150

/** Whether something takes so long to load that its shape is shown. */
export function useLate(): boolean {
  const isLate = useSignal(false)
  useEffect(() => {
    const timer = setTimeout(() => {
      isLate.value = true
    }, SHOWN_AFTER_MS)
    return () => clearTimeout(timer)
  }, [])
  return isLate.value
}
