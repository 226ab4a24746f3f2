"""The outbox: deliveries are claimed, sent by somebody else, and settled. Owns deliveries, their queues and attempts.

``claims.claim`` leases what is due and counts the attempt; its transaction is committed before anything is sent.
``settlements.settle`` writes down what came of it. A lease is a due time in the future: whoever dies with one loses it,
and the delivery is due again. A delivery leaves the outbox in a final state only (``delivered``, ``exhausted``,
``skipped``).

**The fence.** Each claim counts ``attempts``. An outcome counts only while that number is still the claim's and the
queue still says leased: what comes late, when somebody else has claimed the delivery, or when its webhook was switched
off, changes nothing. So settling twice does nothing the second time.

**Order.** A queue names its first unsettled delivery, and nothing behind it is claimed. One that is to be tried only
when the others have waited long enough gets a queue for itself (``background``), and holds up nobody any more.

**Locks**, so that nobody waits in a circle: webhooks, then queues, each in the order of their keys; a claim comes last
and waits for nobody (``SKIP LOCKED``). Whoever changes a delivery that is not settled holds its queue's row, and reads
what depends on it in a statement after the one that locked it.
"""
