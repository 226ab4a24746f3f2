// Loaded by the loader when a visitor sends the form of a site that has its own backend.

/** Send the panel's form to the site's own backend. */
export async function send({ endpoint, headers }, body) {
  const sent = { 'Content-Type': 'application/json', ...headers }
  // Django's CSRF protection requires this token.
  const csrf = /(^|; )csrftoken=([^;]+)/.exec(document.cookie)
  if (csrf) sent['X-CSRFToken'] = csrf[2]
  const got = await fetch(endpoint, { method: 'POST', headers: sent, body: JSON.stringify(body) })
  return { ok: got.ok, ...(await got.json().catch(() => ({}))) }
}
