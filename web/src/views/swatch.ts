import { h, type VNode } from "preact"
import type { Business } from "../api/types"

const HUES = [45, 250, 150, 320, 95, 200, 20, 280]

/** The color of a business: its own, or one that its id chooses. */
function colorOf({ brandColor, businessId }: Business): string {
  return brandColor ?? `oklch(.62 .12 ${HUES[Number(businessId) % HUES.length]})`
}

/** A small square in the color of a business. */
export function swatch(business: Business): VNode {
  return h("span", { class: "swatch", style: { "--c": colorOf(business) }, "aria-hidden": "true" })
}
