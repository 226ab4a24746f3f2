// Files that a customer sends: chosen, pasted or dropped.

/** Whether a text contains only the names of the pasted files: file managers copy both. */
function namesOnly(text, files) {
  const lines = text.split(/[\r\n]+/).filter(Boolean)
  return lines.every((line) => [...files].some(({ name }) => line === name || line.endsWith(`/${encodeURI(name)}`)))
}

/** Ask whether to send the picture pasted with a text: spreadsheets copy cells as both. */
function offerPictures(talk, pictures) {
  const { texts } = talk
  const send = () => {
    sendFiles(talk, pictures)
    endCard(card)
  }
  const card = element(
    'div.card',
    { role: 'group', 'aria-labelledby': 'offer' },
    element('p', { id: 'offer' }, texts.pictureOffered),
    element(
      'div.row',
      {},
      element('button.main', { type: 'button', click: send }, texts.sendPicture),
      element('button.quiet', { type: 'button', click: () => endCard(card) }, texts.notNow),
    ),
  )
  showCard(card)
}

/** Send files, one message each; report at once which ones cannot be sent. */
function sendFiles(talk, files) {
  const { config, texts } = talk
  const most = config.attachmentLimitBytes
  for (const file of files) {
    if (!file.size) talk.say(texts.fileEmpty, true)
    else if (most && file.size > most) talk.say(filled(texts.fileTooLarge, { size: sizeText(most, config.locale) }), true)
    else talk.outgoing.add({ file })
  }
}

/** Handle files that are chosen, pasted into the field or dropped on the page. */
function takeFiles(talk) {
  const input = byId('file')
  byId('attach').addEventListener('click', () => input.click())
  input.addEventListener('change', () => {
    sendFiles(talk, input.files)
    input.value = ''
  })
  talk.text.addEventListener('paste', (event) => {
    const files = [...event.clipboardData.files]
    const text = event.clipboardData.getData('text/plain').trim()
    if (!files.length) return
    if (text && !namesOnly(text, files) && files.every(({ type }) => PICTURE.test(type))) return offerPictures(talk, files)
    event.preventDefault()
    sendFiles(talk, files)
  })
  const drop = byId('drop')
  const carriesFiles = (event) => event.dataTransfer && event.dataTransfer.types.includes('Files')
  const over = (event) => {
    if (!carriesFiles(event)) return
    event.preventDefault()
    drop.hidden = false
  }
  addEventListener('dragenter', over)
  addEventListener('dragover', over)
  addEventListener('dragleave', (event) => event.relatedTarget || (drop.hidden = true))
  addEventListener('drop', (event) => {
    drop.hidden = true
    if (!carriesFiles(event)) return
    event.preventDefault()
    sendFiles(talk, event.dataTransfer.files)
  })
}
