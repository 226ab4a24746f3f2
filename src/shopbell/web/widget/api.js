// Questions to the server. The parts of these scripts are given away as one file: their names are shared, nothing is global.

const API = new URL('../api/customer/', document.currentScript.src)

/** The server said no: `status` of HTTP, its `problem`, and after how many seconds it may be asked again. */
class Refused extends Error {
  constructor(status, problem, retryAfterS) {
    super(`refused with ${status}`)
    this.status = status
    this.problem = problem
    this.retryAfterS = retryAfterS
  }

  /** Whether no file of this size can be sent before tomorrow. */
  get isForToday() {
    return this.status === 429 && Boolean(this.problem.maxBytes)
  }

  /** Whether the same may succeed soon. */
  get isPassing() {
    return this.status >= 500 || this.status === 408 || (this.status === 429 && !this.isForToday)
  }
}

/**
 * Ask the server; what is lost on the way is the browser's TypeError.
 * @param {string} path below /api/customer/
 * @param {{headers?: Object, body?: Object, method?: string}} request
 * @returns {Promise<Response>} a good one
 * @throws {Refused}
 */
async function ask(path, { headers = {}, body, method = 'POST' }) {
  const answer = await fetch(new URL(path, API), {
    method,
    headers: body ? { ...headers, 'Content-Type': 'application/json' } : headers,
    body: body && JSON.stringify(body),
    cache: 'no-store',
  })
  if (!answer.ok) throw await refusal(answer.status, (name) => answer.headers.get(name), answer.json())
  return answer
}

async function refusal(status, header, problem) {
  const read = await Promise.resolve(problem).catch(() => ({}))
  return new Refused(status, read, Number(header('Retry-After')) || 0)
}

/**
 * Send a file; `onProgress` hears which part of it, 0 to 1, has gone.
 * @returns {Promise<Object>} what the server says of it
 * @throws {Refused}
 */
function upload(file, headers, onProgress) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest() // fetch tells nothing of what has gone
    request.open('POST', new URL('attachments', API))
    for (const name in headers) request.setRequestHeader(name, headers[name])
    request.responseType = 'json'
    request.upload.onprogress = (event) => event.lengthComputable && onProgress(event.loaded / event.total)
    request.onerror = request.ontimeout = () => reject(new TypeError('not reached'))
    request.onload = async () => {
      const { status, response } = request
      if (status < 300) resolve(response)
      else reject(await refusal(status, (name) => request.getResponseHeader(name), response || {}))
    }
    const form = new FormData()
    form.append('file', file, file.name || 'file')
    request.send(form)
  })
}

/**
 * Say what goes out in an element that is made of `tag.class`, attributes and children; texts stay texts.
 * @returns {HTMLElement}
 */
function element(tag, attributes = {}, ...children) {
  const [name, ...classes] = tag.split('.')
  const made = document.createElement(name)
  if (classes.length) made.className = classes.join(' ')
  for (const [key, value] of Object.entries(attributes)) {
    if (typeof value === 'function') made.addEventListener(key, value)
    else if (value !== false && value !== null && value !== undefined) made.setAttribute(key, value === true ? '' : value)
  }
  made.append(...children.filter((child) => child !== null))
  return made
}

const byId = (id) => document.getElementById(id)

/** Whether a key belongs to an input method; Safari says so by the key code alone. */
const isComposing = ({ isComposing, keyCode }) => isComposing || keyCode === 229

/** A text with its {names} filled in. */
const filled = (text, values) => text.replace(/\{(\w+)\}/g, (all, name) => (name in values ? values[name] : all))

/** What this browser keeps under a name; where it keeps nothing, this page does. */
function keptUnder(name) {
  let kept = {}
  const read = () => {
    try {
      kept = JSON.parse(localStorage.getItem(name)) || {}
    } catch {
      // Blocked or broken: what this page knows is what there is.
    }
    return kept
  }
  const write = (changes) => {
    kept = { ...read(), ...changes }
    try {
      localStorage.setItem(name, JSON.stringify(kept))
    } catch {
      // As above.
    }
  }
  const forget = () => {
    kept = {}
    try {
      localStorage.removeItem(name)
    } catch {
      // As above.
    }
  }
  return { read, write, forget }
}

/** The names that begin with a prefix, of what this browser keeps. */
function keptNames(prefix) {
  try {
    return Object.keys(localStorage).filter((name) => name.startsWith(prefix))
  } catch {
    return [] // blocked
  }
}

/** Keeps nothing: for as long as it is not known who is here. */
const KEPT_NOWHERE = { read: () => ({}), write() {}, forget() {} }
