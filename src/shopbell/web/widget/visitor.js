// Who is here: nobody known, or the person whom the page vouches for. A browser has many users, one after the other.

const EARLY_MS = 60000 // a session that ends this soon is replaced before it is used
const TOKEN = /^[\w-]+\.[\w-]+\.[\w-]+$/ // what a JWT looks like; the server checks it

const warn = (...words) => console.warn('[shopbell]', ...words)
const bearer = (session) => (session ? { Authorization: `Bearer ${session.token}` } : {})
const usable = ({ session }) => (session && session.expiresAt - EARLY_MS > Date.now() ? session : null)

/**
 * The visitor of a panel. An anonymous session belongs to the browser and is used again without a question. A verified
 * one belongs to a person: it counts only after the page has vouched for this person in this document.
 */
class Visitor {
  /** @param {(before: string | undefined) => void} onChange called at once when `person` has changed */
  constructor(config, host, onChange) {
    Object.assign(this, { config, host, onChange })
    this.prefix = `shopbell:${config.key}:`
    const name = this.prefix + config.business.id
    this.names = [name, `${name}:verified`]
    const [anonymous, verified] = this.names.map(keptUnder)
    Object.assign(this, { anonymous, verified })
    this.kept = KEPT_NOWHERE
    this.person = undefined // not known yet; '' is the anonymous visitor, else the id of a customer
    this.profile = null
    this.round = 0 // what began before the last sign-out counts for nothing
    this.failures = 0
  }

  get session() {
    const session = usable(this.kept.read())
    // Another tab may have put another person's session there.
    const isMine = session && (session.verified ? session.name === this.confirmed : this.kept === this.anonymous)
    return isMine ? session : null
  }

  headers() {
    return this.session && bearer(this.session)
  }

  /** The headers of whoever is here; an anonymous session begins where there is none yet. */
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
      .then(() => round === this.round && this.compare())
      .then(() => (this.failures = 0))
      .catch((error) => {
        if (round !== this.round) throw error
        if (this.person) this.become(undefined) // it may be another person: nothing is shown until that is known
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

  /** @returns {Promise<string | null | undefined>} null: nobody is signed in; undefined: the page cannot tell */
  async token() {
    const said = await this.host.ask({ type: 'token' })
    if (said === undefined) return undefined
    if (!said || said.trim?.() === '') return null
    const token = typeof said === 'string' ? said.trim() : ''
    if (TOKEN.test(token)) return token
    warn('The visitor is not verified: getToken must return a JWT as text, or null')
    return undefined
  }

  /** Ask the server for a session. What was written anonymously goes along with whoever signs in. */
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

  /** Keep a verified session, and of what was not sent only what this person wrote. */
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
    if (before && !this.isIntroduced) this.profile = null // it was said of the person before
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
      throw new TypeError('someone else is here by now') // as what is lost on the way: it is tried again
    }
    this.anonymous.write({ session })
    await this.introduce()
  }

  /** Take what the page says of its visitor. Where it says so, another person may have signed in. */
  async identify(profile) {
    if (profile) Object.assign(this, { profile, told: null, isIntroduced: true })
    await this.check(true)
    this.isIntroduced = false
    await this.introduce()
  }

  /** Tell the server what the page says of its visitor: once in a session, and without what is not valid. */
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

  /** Save where the visitor can be answered. @throws {Refused} */
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

  /** Forget who is here, in all panels of this key, and end their sessions. */
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

  /** Forget what is kept, and end the session. */
  end(kept) {
    const { session } = kept.read()
    kept.forget()
    revoke(session)
  }
}

/** End a session at the server. Here it is over in any case. */
function revoke(session) {
  if (session && session.expiresAt > Date.now()) ask('sign-out', { headers: bearer(session), body: {} }).catch(() => {})
}
