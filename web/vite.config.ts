import { defineConfig } from "vite"
import { catalogs } from "./plugins/catalogs.ts"
import { emoji } from "./plugins/emoji.ts"
import { icons } from "./plugins/icons.ts"

export default defineConfig({
  base: "./", // the server may be below a path of a proxy
  plugins: [catalogs(), icons(), emoji()],
  oxc: { jsx: { runtime: "automatic", importSource: "preact" } },
  build: {
    target: "es2023",
    modulePreload: { polyfill: false },
    assetsInlineLimit: 0, // the Content-Security-Policy allows no `data:` scripts and styles
    // The code of the first load is one file, because many small ones compress worse.
    rolldownOptions: { output: { codeSplitting: { groups: [{ name: "inbox", tags: ["$initial"] }] } } },
  },
})
