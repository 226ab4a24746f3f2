// `npm run lock` runs this: the lock file has versions and hashes, but no URLs.
import { readFileSync, writeFileSync } from "node:fs"

const lock = JSON.parse(readFileSync("package-lock.json", "utf8"))
for (const each of Object.values(lock.packages)) {
  delete each.funding
  delete each.resolved
}
writeFileSync("package-lock.json", `${JSON.stringify(lock, null, 2)}\n`)
