// Browser storage. Where it is blocked in the frame of another site, a cookie is used instead.

const KEPT_S = 30 * 24 * 3600 // as long as a session

const inStorage = {
  names: () => Object.keys(localStorage),
  read: (name) => localStorage.getItem(name),
  write: (name, kept) => localStorage.setItem(name, JSON.stringify(kept)),
  forget: (name) => localStorage.removeItem(name),
}

/** A partitioned cookie (CHIPS) below the panel's path. Unsent messages are too large for it. */
const inCookies = {
  all: () => document.cookie.split('; ').map((each) => each.split('=')).filter(([name]) => name.startsWith('shopbell%3A')),
  names: () => inCookies.all().map(([name]) => decodeURIComponent(name)),
  read(name) {
    const found = inCookies.all().find(([each]) => each === encodeURIComponent(name))
    return found ? decodeURIComponent(found[1]) : null
  },
  write(name, { outgoing, ...kept }, seconds = KEPT_S) {
    const content = encodeURIComponent(JSON.stringify(kept))
    const path = new URL('.', location.href).pathname
    document.cookie = `${encodeURIComponent(name)}=${content}; Max-Age=${seconds}; Path=${path}; Secure; SameSite=None; Partitioned`
  },
  forget: (name) => inCookies.write(name, {}, 0),
}

function findKeeper() {
  try {
    localStorage.length
    return inStorage
  } catch {
    // Blocked.
  }
  const probe = 'shopbell:probe'
  try {
    inCookies.write(probe, {})
    const isThere = inCookies.read(probe) !== null
    inCookies.forget(probe)
    return isThere ? inCookies : null
  } catch {
    return null // a frame with an opaque origin
  }
}

/** The storage; null if the browser blocks all storage. */
let keeper = findKeeper()
const waiting = [] // functions that write the values that only this page has so far

/**
 * Get the storage that the browser blocks in a frame of another site (Storage Access API).
 * @param {boolean} isClicked whether the visitor has just clicked: only then may the browser prompt them
 * @returns {Promise<boolean>} whether storage is available now
 */
async function unblock(isClicked) {
  try {
    const isAllowed = async () => (await navigator.permissions.query({ name: 'storage-access' })).state === 'granted'
    if (!keeper && (isClicked || (await isAllowed()))) {
      await document.requestStorageAccess()
      keeper = findKeeper()
      for (const write of waiting) write()
    }
  } catch {
    // The visitor refused, or the browser lacks this API.
  }
  return keeper !== null
}

/** The stored value of a name; without storage, this page holds it in memory. */
function keptUnder(name) {
  let kept = {}
  const read = () => {
    try {
      const text = keeper.read(name)
      const { outgoing } = kept
      kept = JSON.parse(text) || {}
      if (text && keeper === inCookies) kept.outgoing = outgoing
    } catch {
      // Blocked or corrupt: use the value in memory.
    }
    return kept
  }
  const write = (changes) => {
    kept = { ...read(), ...changes }
    try {
      keeper.write(name, kept)
    } catch {
      // As above.
    }
  }
  const forget = () => {
    kept = {}
    try {
      keeper.forget(name)
    } catch {
      // As above.
    }
  }
  waiting.push(() => Object.keys(kept).length && write(kept))
  return { read, write, forget }
}

/** The stored names with a prefix. */
function keptNames(prefix) {
  try {
    return keeper.names().filter((name) => name.startsWith(prefix))
  } catch {
    return [] // blocked
  }
}

/** Stores nothing; used until the visitor is known. */
const KEPT_NOWHERE = { read: () => ({}), write() {}, forget() {} }
