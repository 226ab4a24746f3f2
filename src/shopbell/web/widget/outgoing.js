// The queue of unsent messages: sent one by one, retried when the connection is back, never stored twice.

const TRY_AGAIN_MS = 2000
const TRY_AGAIN_MAX_MS = 60000

const newId = () =>
  // randomUUID is missing only on pages loaded by plain HTTP from another machine.
  crypto.randomUUID
    ? crypto.randomUUID()
    : '10000000-1000-4000-8000-100000000000'.replace(/[018]/g, (digit) =>
        (digit ^ (crypto.getRandomValues(new Uint8Array(1))[0] & (15 >> (digit / 4)))).toString(16),
      )

/**
 * The queue of one conversation.
 * An item is `{clientMessageId, text, file, attachmentId, state, progress}`; its state is one of `waiting`, `sending`,
 * `notSent` (permanently, until the visitor retries).
 */
class Outgoing {
  /**
   * @param {{headers: () => Promise<Object>, kept: Object, onChange: (item) => void,
   *          onSent: (item, answer) => void, onRefused: (item, refused: Refused) => Promise<boolean>}} its
   *   `onRefused` says whether to try once more.
   */
  constructor(its) {
    this.its = its
    this.items = []
    this.isBusy = false
    this.failures = 0
    addEventListener('online', () => this.flush())
  }

  /** Restore what a previous page could not send. Files are lost with their page. */
  resume() {
    const known = new Set(this.items.map(({ clientMessageId }) => clientMessageId))
    const kept = this.its.kept.read().outgoing || []
    for (const { clientMessageId, text } of kept) if (!known.has(clientMessageId)) this.add({ clientMessageId, text })
    this.keep()
  }

  /** Whether an item is still to be sent; it is not after `clear`, even while its request is under way. */
  has(item) {
    return this.items.includes(item)
  }

  changed(item, error) {
    if (this.has(item)) this.its.onChange(item, error)
  }

  add({ clientMessageId = newId(), text = '', file = null }) {
    const item = { clientMessageId, text, file, state: 'waiting', progress: 0 }
    this.items.push(item)
    this.keep()
    this.its.onChange(item)
    this.flush()
  }

  retry(item) {
    item.state = 'waiting'
    this.its.onChange(item)
    this.flush()
  }

  drop(item) {
    this.items = this.items.filter((one) => one !== item)
    this.keep()
  }

  /** Remove all items from memory; the browser's storage keeps them. */
  clear() {
    this.items = []
  }

  keep() {
    const outgoing = this.items.filter(({ file }) => !file).map(({ clientMessageId, text }) => ({ clientMessageId, text }))
    if (outgoing.length || this.its.kept.read().outgoing) this.its.kept.write({ outgoing })
  }

  async flush() {
    if (this.isBusy) return
    this.isBusy = true
    clearTimeout(this.timer)
    try {
      for (let item; (item = this.items.find(({ state }) => state === 'waiting')); ) {
        if (!(await this.send(item))) break
      }
    } finally {
      this.isBusy = false
    }
  }

  /** @returns {Promise<boolean>} whether the next one may follow */
  async send(item, isSecond = false) {
    item.state = 'sending'
    this.changed(item)
    try {
      const headers = await this.its.headers()
      if (!this.has(item)) return true // its author has signed out: never send it as the next visitor
      if (item.file && !item.attachmentId) {
        const stored = await upload(item.file, headers, (part) => {
          item.progress = part
          this.changed(item)
        })
        item.attachmentId = stored.attachmentId
      }
      const { clientMessageId, text, attachmentId } = item
      const body = { clientMessageId, ...(text ? { text } : {}), ...(attachmentId ? { attachmentId } : {}) }
      const answer = await (await ask('messages', { headers, body })).json()
      this.failures = 0
      if (!this.has(item)) return true
      this.drop(item)
      this.its.onSent(item, answer)
      return true
    } catch (error) {
      if (error instanceof Refused && !error.isPassing) {
        if (!isSecond && this.has(item) && (await this.its.onRefused(item, error))) return this.send(item, true)
        item.state = 'notSent'
        this.changed(item)
        return true
      }
      // Keep the order: later items wait as well.
      item.state = 'waiting'
      this.changed(item, error)
      const againMs = jitter(Math.min(TRY_AGAIN_MS * 2 ** this.failures++, TRY_AGAIN_MAX_MS))
      this.timer = setTimeout(() => this.flush(), Math.max(againMs, (error.retryAfterS || 0) * 1000))
      return false
    }
  }
}
