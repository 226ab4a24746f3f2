// Passkeys on the pages of accounts. Without this script, the forms still work.

const root = document.body.dataset.root
const OFFER_MS = 4 * 60 * 1000 // the server accepts the answer to a challenge for five minutes

async function send(path, body) {
  const response = await fetch(root + path, {
    method: 'POST',
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify(body ?? {}),
  })
  if (!response.ok) throw Object.assign(new Error('refused'), { status: response.status })
  return response.json()
}

let offer // the passkeys that the address field suggests, as long as no button was pressed

async function signIn(more) {
  const options = PublicKeyCredential.parseRequestOptionsFromJSON(await send('api/sign-in/passkey/options'))
  const credential = await navigator.credentials.get({ publicKey: options, ...more })
  await send('api/sign-in/passkey', { credential: credential.toJSON() })
}

const actions = {
  'sign-in': () => signIn({}),
  add: async () => {
    const options = PublicKeyCredential.parseCreationOptionsFromJSON(await send('api/passkeys/options'))
    const credential = await navigator.credentials.create({ publicKey: options })
    await send('api/passkeys', { credential: credential.toJSON() })
  },
}

async function run(button, work) {
  const failed = button.parentElement.querySelector('[data-failed]')
  failed.hidden = true
  try {
    await work()
    location.assign(root + button.dataset.next)
  } catch (error) {
    if (error.status === 403) {
      location.assign(root + 'account/confirm?next=' + encodeURIComponent(button.dataset.next))
      return
    }
    // The person closed the dialog of the browser, or the script ended the offer.
    if (error.name === 'NotAllowedError' || error.name === 'AbortError') return
    failed.textContent = failed.dataset.failed
    failed.hidden = false
  }
}

async function makeOffer(button) {
  offer?.abort()
  const own = (offer = new AbortController())
  own.madeAt = Date.now()
  await run(button, () => signIn({ mediation: 'conditional', signal: own.signal }))
}

async function start() {
  if (!window.PublicKeyCredential?.parseRequestOptionsFromJSON) return
  for (const part of document.querySelectorAll('.scripted')) part.hidden = false
  for (const button of document.querySelectorAll('[data-passkey]')) {
    button.addEventListener('click', async () => {
      offer?.abort()
      offer = undefined
      button.disabled = true
      await run(button, actions[button.dataset.passkey])
      button.disabled = false
    })
  }
  const button = document.querySelector('[data-passkey="sign-in"]')
  if (!button || !document.querySelector('input[autocomplete~="webauthn"]')) return
  if (!(await PublicKeyCredential.isConditionalMediationAvailable?.())) return
  makeOffer(button)
  document.addEventListener('visibilitychange', () => {
    if (!document.hidden && offer && Date.now() - offer.madeAt > OFFER_MS) makeOffer(button)
  })
}

start()
