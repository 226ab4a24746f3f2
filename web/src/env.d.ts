declare module "*.po" {
  import type { Compiled } from "./app/messages"

  const messages: Record<string, Compiled>
  export default messages
}

declare module "virtual:icons" {
  const url: string
  export default url
}

declare module "virtual:emoji/*" {
  const data: import("./composer/emoji").EmojiData
  export default data
}

/** https://w3c.github.io/trusted-types/: scripts are only loaded from addresses that a policy allows. */
interface Window {
  trustedTypes?: {
    createPolicy(
      name: string,
      rules: { createScriptURL: (address: string) => string },
    ): { createScriptURL: (address: string) => unknown }
  }
}
