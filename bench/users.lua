-- SPDX-License-Identifier: Apache-2.0
-- wrk's requests: `create` makes a new user each time, `scatter` too, with emails all over the alphabet, `read` goes around a thousand of the first; not the
-- very first, which wrk asks for and does not send.
local count = 0
local headers = {["Content-Type"] = "application/json"}
local make

local function create()
  return wrk.format("POST", "/users", headers, string.format(
    '{"email": "user%d@example.org", "first_name": "Ada", "last_name": "Lovelace"}', count))
end

local function scatter()
  return wrk.format("POST", "/users", headers, string.format(
    '{"email": "%08x-%d@example.com", "first_name": "Ada", "last_name": "Lovelace"}',
    math.random(0, 0x7fffffff) * 2, count))
end

local function read()
  return wrk.format("GET", string.format("/users/user%d@example.org", count % 1000 + 2))
end

function init(arguments)
  make = ({create = create, scatter = scatter, read = read})[arguments[1]]
  math.randomseed(os.time())
end

function request()
  count = count + 1
  return make()
end
