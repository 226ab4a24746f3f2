import { signal } from "@preact/signals"

/** Whether the pane of the customer lies over the page, where the window has no room for it. */
export const showsCustomer = signal(false)
