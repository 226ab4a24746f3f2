import { signal } from "@preact/signals"
import type { Found } from "./people"

/** The customer that the dialog for a new conversation starts with. */
export const startWith = signal<Found | null>(null)
