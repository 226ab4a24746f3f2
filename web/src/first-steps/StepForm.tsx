import { useSignal } from "@preact/signals"
import type { ComponentChildren } from "preact"
import { reason } from "../app/actions"
import { Icon } from "../app/Icon"
import { CloseButton } from "./CloseButton"

interface Props {
  /** what the button says */
  action: string
  /** what an invalid value is answered with; by default, what the server says */
  faultOf?: (failure: unknown) => string
  send: (given: (name: string) => string) => Promise<void>
  children: ComponentChildren
}

/** The form of a step, with its error. */
export function StepForm({ action, faultOf = reason, send, children }: Props) {
  const error = useSignal("")
  const isSending = useSignal(false)
  async function submit(form: HTMLFormElement): Promise<void> {
    const data = new FormData(form)
    isSending.value = true
    error.value = ""
    try {
      await send(name => String(data.get(name) ?? "").trim())
    } catch (failure) {
      error.value = faultOf(failure)
    } finally {
      isSending.value = false
    }
  }
  return (
    <form
      onSubmit={event => {
        event.preventDefault()
        void submit(event.currentTarget)
      }}
    >
      {children}
      {error.value && (
        <p class="fault" role="alert">
          <Icon name="triangle-alert" />
          {error.value}
        </p>
      )}
      <div class="acts">
        <button type="submit" class="button main" disabled={isSending.value}>
          {action}
        </button>
        <CloseButton />
      </div>
    </form>
  )
}
