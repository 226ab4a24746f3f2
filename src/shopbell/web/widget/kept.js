// What this browser keeps: in its storage; where that is blocked in the frame of another site, in a partitioned cookie.

const KEPT_S = 30 * 24 * 3600 // as long as a session

const inStorage = {
  names: () => Object.keys(localStorage),
  read: (name) => localStorage.getItem(name),
  write: (name, kept) => localStorage.setItem(name, JSON.stringify(kept)),
  forget: (name) => localStorage.removeItem(name),
}

/** A cookie that this site alone has (CHIPS), below the address of the panel. What is not sent yet is too large for it. */
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

/** Where things are kept; null where this browser keeps nothing. */
const keeper = (() => {
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
    return null // a frame without an origin of its own
  }
})()

/** What this browser keeps under a name; where it keeps nothing, this page does. */
function keptUnder(name) {
  let kept = {}
  const read = () => {
    try {
      const text = keeper.read(name)
      const { outgoing } = kept
      kept = JSON.parse(text) || {}
      if (text && keeper === inCookies) kept.outgoing = outgoing
    } catch {
      // Blocked or broken: what this page knows is what there is.
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
  return { read, write, forget }
}

/** The names that begin with a prefix, of what this browser keeps. */
function keptNames(prefix) {
  try {
    return keeper.names().filter((name) => name.startsWith(prefix))
  } catch {
    return [] // blocked
  }
}

/** Keeps nothing: for as long as it is not known who is here. */
const KEPT_NOWHERE = { read: () => ({}), write() {}, forget() {} }
