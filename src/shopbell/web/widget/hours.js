// Keep the opening hours current while a page stays open.

const HOURS_EVERY_MS = 10000

/**
 * Keep `presence` of a business current. Check the clock often: a timer of days would pause while a computer sleeps.
 * @param {{presence: string, presenceChanges: {afterMs: number, text: string}[]}} business
 * @param {() => void} onChange
 */
function followHours(business, onChange) {
  const beganAt = Date.now()
  const follow = () => {
    const past = business.presenceChanges.filter(({ afterMs }) => Date.now() - beganAt >= afterMs)
    const now = past.length ? past[past.length - 1].text : business.presence
    if (now === business.presence) return
    business.presence = now
    onChange()
  }
  if (business.presenceChanges.length) setInterval(follow, HOURS_EVERY_MS)
}
