// The live stream. Tabs with the same conversation share one connection if the browser supports it.

const SILENCE_MS = 45000 // the server sends at least a heartbeat every 20 s
const BACKOFF_MS = 1000
const BACKOFF_MAX_MS = 30000
const LEADER_MS = 1500

const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms))
const jitter = (ms) => ms * (0.5 + Math.random() / 2)

/**
 * Parse server-sent events.
 * @param {ReadableStream<Uint8Array>} body
 * @yields {{type: string, id: string, data: Object} | null} null for heartbeats and other signs of life
 */
async function* eventsOf(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader()
  let rest = ''
  let event = { type: 'message', id: '', data: [] }
  for (;;) {
    const { value, done } = await reader.read()
    if (done) return
    yield null
    const lines = (rest + value).split(/\r\n|\n|\r(?!$)/)
    rest = lines.pop()
    for (const line of lines) {
      const colon = line.indexOf(':')
      const field = colon < 0 ? line : line.slice(0, colon)
      const content = colon < 0 ? '' : line.slice(colon + 1).replace(/^ /, '')
      if (line === '') {
        if (event.data.length) yield { ...event, data: JSON.parse(event.data.join('\n')) }
        event = { type: 'message', id: '', data: [] }
      } else if (field === 'event') event.type = content
      else if (field === 'id') event.id = content
      else if (field === 'data') event.data.push(content)
    }
  }
}

/**
 * A connection that reconnects automatically and misses no event.
 * @param {{headers: () => Object, last: () => number, onEvent: (event) => void, onState: (isUp: boolean) => void,
 *          onRefused: (refused: Refused) => Promise<boolean>}} `onRefused` decides whether to continue
 * @returns {{stop: () => void, again: () => void}}
 */
function connection({ headers, last, onEvent, onState, onRefused }) {
  let isOver = false
  let failures = 0
  let current
  let wake = () => {}

  async function once() {
    current = new AbortController()
    const { signal } = current
    let silence
    const heard = () => {
      clearTimeout(silence)
      silence = setTimeout(() => current.abort(), SILENCE_MS)
    }
    heard()
    try {
      const from = last()
      const answer = await fetch(new URL('stream', API), {
        headers: { ...headers(), Accept: 'text/event-stream', ...(from ? { 'Last-Event-ID': String(from) } : {}) },
        cache: 'no-store',
        signal,
      })
      if (!answer.ok) throw await refusal(answer.status, (name) => answer.headers.get(name), answer.json())
      onState(true)
      for await (const event of eventsOf(answer.body)) {
        heard()
        if (signal.aborted) return
        if (!event) continue
        failures = 0
        onEvent(event)
      }
    } finally {
      clearTimeout(silence)
      current.abort()
    }
  }

  async function run() {
    while (!isOver) {
      let waitMs = 0
      try {
        await once()
      } catch (error) {
        if (error instanceof Refused) {
          waitMs = error.retryAfterS * 1000
          if (!isOver && !error.isPassing && !(await onRefused(error))) return
        }
      }
      if (isOver) return
      onState(false)
      const backoffMs = jitter(Math.min(BACKOFF_MS * 2 ** failures++, BACKOFF_MAX_MS))
      await Promise.race([pause(Math.max(waitMs, backoffMs)), new Promise((resolve) => (wake = resolve))])
    }
  }

  const again = () => {
    failures = 0
    if (current) current.abort()
    wake()
  }
  addEventListener('online', again)
  run()
  return {
    again,
    stop() {
      isOver = true
      removeEventListener('online', again)
      again()
    },
  }
}

/**
 * The same for all tabs of a conversation: one tab holds the connection and forwards its events to the others.
 * @param {string} name identifies the conversation among the tabs; not secret
 * @param {Object} its as for `connection`
 */
function sharedConnection(name, its) {
  const known = new Map() // what a tab that is opened later receives
  let own = null
  let channel = null
  let isOver = false
  let isUp = true // until the first attempt has failed
  let letGo = () => {}
  let patience

  const remember = (event) => {
    if (event.type === 'resync') known.clear()
    const { type, data } = event
    const key = type === 'message' ? data.messageId : type === 'read' ? `read by ${data.by}` : type
    if (!['typing', 'resync', 'survey'].includes(event.type)) known.set(key, event)
  }
  const hear = (event) => {
    remember(event)
    its.onEvent(event)
  }
  const say = (message) => channel && channel.postMessage(message)
  const hold = () => {
    clearTimeout(patience)
    if (own || isOver) return
    own = connection({
      ...its,
      onEvent(event) {
        hear(event)
        say({ event })
      },
      onState(state) {
        isUp = state
        its.onState(isUp)
        say({ isUp })
      },
    })
  }
  const follow = ({ data }) => {
    if (data.hello && own) say({ replay: [...known.values()], isUp })
    if (own) return
    clearTimeout(patience)
    for (const event of data.replay || []) hear(event)
    if (data.event) hear(data.event)
    if ('isUp' in data) its.onState(data.isUp)
  }

  try {
    channel = new BroadcastChannel(name)
    channel.onmessage = follow
    const lock = navigator.locks.request(name, () => {
      hold()
      return isOver ? null : new Promise((resolve) => (letGo = resolve))
    })
    lock.catch(hold)
    say({ hello: true })
    patience = setTimeout(hold, LEADER_MS) // a tab that is asleep may hold the lock
  } catch {
    hold() // this browser does not support coordination between tabs
  }

  return {
    again: () => own && own.again(),
    stop() {
      isOver = true
      clearTimeout(patience)
      if (own) own.stop()
      if (channel) channel.close()
      letGo()
    },
  }
}
