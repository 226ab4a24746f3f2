let ticks = 0

/**
 * Count what happens on this page. The response to a request may be older than anything that has changed here since the
 * request was sent.
 */
export function tick(): number {
  return ++ticks
}
