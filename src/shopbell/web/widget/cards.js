// Cards in the conversation: a form for contact data, and surveys.

const waitingCards = []

/** Show a card above the composer; a second card waits until the first is done. */
function showCard(card) {
  const cards = byId('cards')
  if (cards.querySelector('form, [role=group]')) waitingCards.push(card)
  else cards.replaceChildren(card)
}

/** Remove the card, move focus from it to the composer, and show the card that waits. */
function endCard(card, thanks) {
  const hadFocus = card.contains(document.activeElement)
  const said = thanks && element('div.card', {}, element('p', {}, thanks))
  card.replaceWith(...[said, waitingCards.shift()].filter(Boolean))
  if (hadFocus) byId('text').focus()
}

function clearCards() {
  waitingCards.length = 0
  byId('cards').replaceChildren()
}

/** The error message of a field. */
function fault(field, text) {
  const line = byId(`${field.id}-fault`)
  line.textContent = text
  field.setAttribute('aria-invalid', text !== '')
  if (text) field.focus()
}

/**
 * Ask for contact data for replies.
 * @param {Object} texts
 * @param {(profile: {email?: string, phoneNumber?: string}) => Promise<void>} save
 * @param {(isSaved: boolean) => void} onDone called exactly once
 * @param {boolean} isForgotten whether the browser forgets the conversation, which the question then mentions
 * @param {(() => Promise<boolean>) | null} keep lets the browser store it if the visitor allows that; null: not possible
 */
function askForContact(texts, save, onDone, isForgotten, keep) {
  const field = element('input', {
    id: 'contact', type: 'text', autocomplete: 'email', required: true, maxlength: 254, dir: 'auto',
    placeholder: ' ', 'aria-describedby': 'contact-fault',
  })
  const card = element(
    'form.card',
    { 'aria-labelledby': 'contact-title', novalidate: true, submit: send },
    element('p', { id: 'contact-title' }, isForgotten ? texts.forgottenSoon : texts.whereToAnswer),
    element('label', { for: 'contact' }, texts.contact),
    element('div.row', {}, field, element('button.main', {}, texts.save)),
    element('p.fault', { id: 'contact-fault', role: 'alert' }),
    keep && element('button.quiet', { type: 'button', click: keepHere }, texts.keep),
    element('button.quiet', { type: 'button', click: () => (onDone(false), endCard(card)) }, texts.notNow),
  )
  async function keepHere({ target }) {
    if (await keep()) return endCard(card, texts.isKept)
    target.remove()
    byId('contact-fault').textContent = texts.cannotKeep
    field.focus()
  }
  async function send(event) {
    event.preventDefault()
    const said = field.value.trim()
    if (!said) return fault(field, texts.contactInvalid)
    try {
      await save(said.includes('@') ? { email: said } : { phoneNumber: said })
      onDone(true)
      endCard(card, texts.contactSaved)
    } catch (error) {
      fault(field, error.status === 400 ? texts.contactInvalid : texts.tryLater)
    }
  }
  showCard(card)
}

/**
 * Ask a survey's question.
 * @param {Object} texts
 * @param {{surveyId: string, kind: 'nps' | 'csat'}} survey
 * @param {(answer: Object) => Promise<void>} save
 */
function askSurvey(texts, { surveyId, kind }, save) {
  const isNps = kind === 'nps'
  const [least, most] = isNps ? [texts.leastLikely, texts.mostLikely] : [texts.leastSatisfied, texts.mostSatisfied]
  const scores = isNps ? [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10] : [1, 2, 3, 4, 5]
  const choice = (score) => {
    const words = score === scores[0] ? `${score} – ${least}` : score === scores[scores.length - 1] ? `${score} – ${most}` : `${score}`
    const input = element('input', { type: 'radio', name: 'score', value: score, required: true, 'aria-label': words })
    return element('label', {}, input, element('span', { 'aria-hidden': 'true' }, `${score}`))
  }
  const comment = element('textarea', { id: 'comment', rows: 2, maxlength: 2000, dir: 'auto', placeholder: ' ' })
  const wrong = element('p.fault', { role: 'alert' })
  const card = element(
    'form.card',
    { submit: send },
    element(
      'fieldset',
      {},
      element('legend', {}, isNps ? texts.nps : texts.csat),
      element(isNps ? 'div.scores.nps' : 'div.scores', {}, ...scores.map(choice)),
      element('div.ends', { 'aria-hidden': 'true' }, element('span', {}, least), element('span', {}, most)),
    ),
    element('label', { for: 'comment' }, texts.comment),
    comment,
    wrong,
    element(
      'div.row',
      {},
      element('button.main', {}, texts.send),
      element('button.quiet', { type: 'button', click: () => endCard(card) }, texts.notNow),
    ),
  )
  async function send(event) {
    event.preventDefault()
    const chosen = card.querySelector('input:checked')
    const said = comment.value.trim()
    try {
      await save({ surveyId, score: Number(chosen.value), ...(said ? { comment: said } : {}) })
      endCard(card, texts.thanks)
    } catch {
      wrong.textContent = texts.tryLater
    }
  }
  showCard(card)
}
