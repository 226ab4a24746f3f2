import { createStore, del, entries, set } from "idb-keyval"

/** What must survive a reload: messages that are not sent yet, and drafts that the server does not have. */
const store = createStore("shopbell-inbox", "kept")

/**
 * Keep something. Where the browser has no storage, it lives as long as the page.
 * @returns whether the browser has stored it
 */
export function keep(key: string, value: object): Promise<boolean> {
  return set(key, value, store).then(
    () => true,
    () => false,
  )
}

export async function drop(key: string): Promise<void> {
  await del(key, store).catch(() => {})
}

/** Everything that is kept under keys with a prefix. */
export async function keptUnder<T>(prefix: string): Promise<T[]> {
  const all = await entries<string, T>(store).catch(() => [])
  return all.filter(([key]) => key.startsWith(prefix)).map(([, value]) => value)
}
