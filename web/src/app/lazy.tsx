import { useSignal } from "@preact/signals"
import type { ComponentType, VNode } from "preact"
import { useEffect } from "preact/hooks"
import { reason } from "./actions"
import { toast } from "./toast"

/**
 * A component whose code is loaded when it is first shown.
 * @param instead what stands there until then
 * @param giveUp called if it cannot be loaded
 */
export function lazy<Props extends object>(
  load: () => Promise<ComponentType<Props>>,
  instead: () => VNode | null = () => null,
  giveUp: () => void = () => {},
): ComponentType<Props> {
  let loaded: ComponentType<Props> | undefined
  return props => {
    const shown = useSignal({ component: loaded })
    useEffect(() => {
      if (shown.peek().component) return
      load().then(
        component => {
          loaded = component
          shown.value = { component }
        },
        // No connection, or a new version of the server: the next time, it may be there.
        error => {
          toast({ text: reason(error), isError: true })
          giveUp()
        },
      )
    }, [])
    const Component = shown.value.component
    return Component ? <Component {...props} /> : instead()
  }
}
