-- wrk's script: customers' messages to one business, 90 % of them from customers that are known already.
-- Arguments: API token, business id, first known customer, number of known customers, pause after each response in ms.

local head, tail

local function address(number)
  return string.format("c%d@example.com", number) -- always twelve digits: so the body's length never changes
end

local function body(email)
  return '{"businessId": "' .. business .. '", "message": "Hello, I need help with my order.", "user": {"email": "'
    .. email .. '", "locale": "en"}}'
end

function init(args)
  token, business, first, known = args[1], args[2], tonumber(args[3]), tonumber(args[4])
  math.randomseed(os.time())
  local whole = body(address(first))
  local at, stop = whole:find(address(first), 1, true)
  head = "POST /api/widget/send-message-to-business HTTP/1.1\r\nHost: 127.0.0.1\r\ntoken: " .. token
    .. "\r\nContent-Type: application/json\r\nContent-Length: " .. #whole .. "\r\n\r\n" .. whole:sub(1, at - 1)
  tail = whole:sub(stop + 1)
  local pause_ms = tonumber(args[5])
  if pause_ms > 0 then
    delay = function() return pause_ms end
  end
end

function request()
  local number
  if math.random(10) == 1 then
    number = first + 100000000000 + math.random(1, 799999999999) -- a new customer
  else
    number = first + math.random(0, known - 1)
  end
  return head .. address(number) .. tail
end

function done(summary, latency)
  local errors = summary.errors
  io.write(string.format(
    '\nMEASURED {"answers": %d, "duration_us": %d, "p50_us": %d, "p95_us": %d, "p99_us": %d, "refused": %d, "broken": %d}\n',
    summary.requests, summary.duration, latency:percentile(50), latency:percentile(95), latency:percentile(99),
    errors.status, errors.connect + errors.read + errors.write + errors.timeout))
end
