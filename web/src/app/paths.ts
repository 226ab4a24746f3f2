const ROOT = new URL(document.documentElement.dataset.root ?? "../", location.href)

/** The absolute URL of a path from the root of the server, which may itself be below a path of a proxy. */
export function url(path: string, query?: URLSearchParams | Record<string, Param>): string {
  const absolute = new URL(path.replace(/^\//, ""), ROOT)
  if (query instanceof URLSearchParams) absolute.search = query.toString()
  else for (const [name, value] of Object.entries(query ?? {})) append(absolute.searchParams, name, value)
  return absolute.href
}

export type Param = string | number | boolean | readonly string[] | null | undefined

function append(to: URLSearchParams, name: string, value: Param): void {
  if (value == null) return
  for (const each of Array.isArray(value) ? value : [value]) to.append(name, String(each))
}
