// Requests to the server. The server delivers these scripts as one file, so they share one scope; nothing is global.

const API = new URL('../api/customer/', document.currentScript.src)

/** An error response: HTTP `status`, the `problem` document, and the seconds until a retry is allowed. */
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

  /** Whether a retry may succeed soon. */
  get isPassing() {
    return this.status >= 500 || this.status === 408 || (this.status === 429 && !this.isForToday)
  }
}

/**
 * Send a request. A network error is the browser's TypeError.
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
 * Upload a file; `onProgress` receives the fraction sent, from 0 to 1.
 * @returns {Promise<Object>} the server's description of the file
 * @throws {Refused}
 */
function upload(file, headers, onProgress) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest() // fetch does not report upload progress
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
 * Create an element from `tag.class`, attributes and children. Strings become text nodes, never markup.
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

/** Whether a key belongs to an input method; Safari reports this only in the key code. */
const isComposing = ({ isComposing, keyCode }) => isComposing || keyCode === 229

/** A text with its {names} filled in. */
const filled = (text, values) => text.replace(/\{(\w+)\}/g, (all, name) => (name in values ? values[name] : all))
