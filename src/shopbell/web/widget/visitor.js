// The visitor: anonymous, or a person that the page has identified. Several people may use one browser in turn.

const EARLY_MS = 60000 // a session that expires this soon is replaced before use
const TOKEN = /^[\w-]+\.[\w-]+\.[\w-]+$/ // the form of a JWT; the server verifies it

const warn = (...words) => console.warn('[shopbell]', ...words)
const bearer = (session) => (session ? { Authorization: `Bearer ${session.token}` } : {})
const usable = ({ session }) => (session && session.expiresAt - EARLY_MS > Date.now() ? session : null)

/**
 * The visitor of a panel. An anonymous session belongs to the browser and is reused without a check. A verified
 * session belongs to a person: it is used only after the page has identified this person in this document.
 */
class Visitor {
  /** @param {(before: string | undefined) => void} onChange called synchronously after `person` has changed */
  constructor(config, host, onChange) {
    Object.assign(this, { config, host, onChange })
    this.prefix = `shopbell:${config.key}:`
    const name = this.prefix + config.business.id
    this.names = [name, `${name}:verified`]
    const [anonymous, verified] = this.names.map(keptUnder)
    Object.assign(this, { anonymous, verified })
    this.kept = KEPT_NOWHERE
    this.person = undefined // undefined: not known yet; '': anonymous; otherwise the id of a customer
    this.profile = null
    this.round = 0 // results of requests from before the last sign-out are ignored
    this.failures = 0
    this.unblocking = unblock(false) // the visitor may have allowed it on an earlier page
  }

  get session() {
    const session = usable(this.kept.read())
    // Another tab may have stored another person's session.
    const isMine = session && (session.verified ? session.name === this.confirmed : this.kept === this.anonymous)
    return isMine ? session : null
  }

  headers() {
    return this.session && bearer(this.session)
  }

  /** The headers of the visitor's session; starts an anonymous session if there is none. */
  async ensure() {
    if (this.checking || !this.session) await this.attempt()
    if (!this.session) await this.begin()
    return this.headers()
  }

  /**
   * Find out who is here, in the background; what fails for a while is tried again.
   * @param {boolean} isNews someone else may have signed in just now: an answer to an earlier question does not count
   */
  check(isNews = false) {
    return this.attempt(isNews).catch(() => {})
  }

  attempt(isNews = false) {
    if (this.checking && !isNews) return this.checking
    clearTimeout(this.timer)
    const { round } = this
    const running = Promise.resolve(this.checking)
      .catch(() => {})
      .then(() => this.unblocking)
      .then(() => round === this.round && this.compare())
      .then(() => (this.failures = 0))
      .catch((error) => {
        if (round !== this.round) throw error
        if (this.person) this.become(undefined) // this may be another person: show nothing until it is known
        const againMs = jitter(Math.min(BACKOFF_MS * 2 ** this.failures++, BACKOFF_MAX_MS))
        this.timer = setTimeout(() => this.check(), Math.max(againMs, (error.retryAfterS || 0) * 1000))
        throw error
      })
      .finally(() => {
        if (this.checking === running) this.checking = null
      })
    return (this.checking = running)
  }

  /** Ask the page who is signed in, and let the server compare this person with the session. */
  async compare(isSecond = false) {
    const { round } = this
    const token = await this.token()
    if (round !== this.round) return
    if (token === null) this.end(this.verified)
    if (!token) return this.become('')
    let session
    try {
      session = await this.open(token)
    } catch (error) {
      if (!(error instanceof Refused) || error.isPassing) throw error
      if (error.problem.reason === 'expired' && !isSecond) return this.compare(true)
      warn('The visitor is not verified:', error.problem.developerMessage)
      return round === this.round && this.become('')
    }
    if (round !== this.round) return revoke(session)
    this.keep(session)
    this.become(session.customerId, session)
    await this.introduce()
  }

  /** @returns {Promise<string | null | undefined>} null: no one is signed in; undefined: the page cannot tell */
  async token() {
    const said = await this.host.ask({ type: 'token' })
    if (said === undefined) return undefined
    if (!said || said.trim?.() === '') return null
    const token = typeof said === 'string' ? said.trim() : ''
    if (TOKEN.test(token)) return token
    warn('The visitor is not verified: getToken must return a JWT as text, or null')
    return undefined
  }

  /** Ask the server for a session. Anonymous messages are merged into the person who signs in. */
  async open(token) {
    const former = token ? usable(this.anonymous.read()) || usable(this.verified.read()) : null
    const { key, locale, business } = this.config
    const body = { key, locale, origin: this.host.origin, businessId: business.id, ...(token ? { identityToken: token } : {}) }
    const answer = await (await ask('sessions', { body, headers: bearer(former) })).json()
    const { sessionToken, expiresAt, verified, customerThreadId, customerId, ignoredClaims = [] } = answer
    if (ignoredClaims.length) warn('Claims of the identity token that are not valid are ignored:', ignoredClaims.join(', '))
    const name = former && former.token === sessionToken ? former.name : newId()
    return { token: sessionToken, expiresAt, verified, hasThread: Boolean(customerThreadId), customerId, name }
  }

  /** Store a verified session; of the unsent messages, keep only those of this person. */
  keep(session) {
    const { customerId } = session
    const before = this.verified.read()
    if (before.customerId !== customerId && before.session?.token !== session.token) this.end(this.verified)
    const outgoing = [...(this.verified.read().outgoing || []), ...(this.anonymous.read().outgoing || [])]
    this.verified.write({ customerId, session, outgoing })
    this.anonymous.forget()
  }

  become(person, session = null) {
    const before = this.person
    this.person = person
    this.confirmed = session && session.name
    this.kept = person ? this.verified : person === '' ? this.anonymous : KEPT_NOWHERE
    if (person === before) return
    if (before && !this.isIntroduced) this.profile = null // it belongs to the previous person
    this.onChange(before)
  }

  /** An anonymous session. */
  begin() {
    if (!this.making) this.making = this.make().finally(() => (this.making = null))
    return this.making
  }

  async make() {
    const { round } = this
    const session = this.person === '' ? await this.open(null) : null
    if (round !== this.round || this.person !== '') {
      revoke(session)
      throw new TypeError('someone else is here by now') // like a network error, so that it is retried
    }
    this.anonymous.write({ session })
    await this.introduce()
  }

  /** Take the page's data about its visitor. If they name an identity, another person may have signed in. */
  async identify(profile) {
    if (profile) Object.assign(this, { profile, told: null, isIntroduced: true })
    await this.check(true)
    this.isIntroduced = false
    await this.introduce()
  }

  /** Send the page's data about its visitor to the server, once per session and without invalid fields. */
  async introduce(profile = this.profile) {
    this.profile = profile
    const { session } = this
    if (!profile || !session || this.told === session.name) return
    this.told = session.name
    try {
      await this.say(profile)
    } catch (error) {
      const faults = (error.problem?.errors || []).map(({ pointer = '' }) => pointer.split('/')[1])
      const right = Object.entries(profile).filter(([name]) => !faults.includes(name))
      if (faults.length) warn('identify:', error.problem.developerMessage)
      this.host.tell({ type: 'event', name: 'error', detail: { code: 'identify' } })
      if (faults.length && right.length) await this.say(Object.fromEntries(right)).catch(() => {})
    }
  }

  /** Save the visitor's contact data. @throws {Refused} */
  async saveContact(contact) {
    await this.ensure()
    await this.say(contact)
    this.profile = { ...this.profile, ...contact }
  }

  async say(profile) {
    const { kept } = this
    await ask('identify', { headers: this.headers() || {}, body: profile })
    kept.write({ asked: true })
  }

  /** Forget the visitor in all panels of this key, and end their sessions. */
  signOut() {
    this.round++
    this.checking = null
    clearTimeout(this.timer)
    this.profile = null
    for (const name of keptNames(this.prefix)) if (!this.names.includes(name)) this.end(keptUnder(name))
    this.end(this.anonymous)
    this.end(this.verified)
    this.become(undefined)
  }

  /** Clear the storage and end the session. */
  end(kept) {
    const { session } = kept.read()
    kept.forget()
    revoke(session)
  }
}

/** End a session on the server. In this browser it has already ended. */
function revoke(session) {
  if (session && session.expiresAt > Date.now()) ask('sign-out', { headers: bearer(session), body: {} }).catch(() => {})
}
