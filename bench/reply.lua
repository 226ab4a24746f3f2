-- wrk's script: an organization's visible replies in threads that are there already.
-- Arguments: API token, business id, first thread's id, number of threads.

function init(args)
  token, first, known = args[1], tonumber(args[3]), tonumber(args[4])
  math.randomseed(os.time())
  wrk.method = "POST"
  wrk.path = "/api/send-message-to-customer-thread"
  wrk.headers["token"] = token
  wrk.headers["Content-Type"] = "application/json"
end

function request()
  local thread = string.format("%d", first + math.random(0, known - 1))
  local body = '{"text": "Hello, your order is on its way.", "customerThreadId": "' .. thread .. '"}'
  return wrk.format(nil, nil, nil, body)
end

function done(summary, latency)
  local errors = summary.errors
  io.write(string.format(
    '\nMEASURED {"answers": %d, "duration_us": %d, "p50_us": %d, "p95_us": %d, "p99_us": %d, "refused": %d, "broken": %d}\n',
    summary.requests, summary.duration, latency:percentile(50), latency:percentile(95), latency:percentile(99),
    errors.status, errors.connect + errors.read + errors.write + errors.timeout))
end
