import type { Channel } from "../api/types"
import { t } from "../app/i18n"
import type { IconName } from "../app/icon-names"

export const CHANNELS: readonly Channel[] = ["WEB", "EMAIL", "SMS", "WHATSAPP"]

export const CHANNEL_ICONS: Record<Channel, IconName> = {
  WEB: "message-circle",
  EMAIL: "mail",
  SMS: "smartphone",
  WHATSAPP: "smartphone",
}

/** The name of a channel, as employees call it. */
export function channelName(channel: Channel): string {
  return { WEB: t("Chat"), EMAIL: t("Email"), SMS: "SMS", WHATSAPP: "WhatsApp" }[channel]
}
