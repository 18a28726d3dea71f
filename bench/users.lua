-- SPDX-License-Identifier: Apache-2.0
-- wrk's requests:
--   create          a new user each time, user1@, user2@ and so on
--   scatter         the same, with emails all over the alphabet
--   read [USERS]    goes around the first 1,000 that `create` made, or so many; not the very first, which wrk asks for
--                   and does not send
--   read_filled USERS   any of the users that bench/fill made
--   same PATH       one path, always
-- A second argument, behind the first, is a pause of each connection before a request, in milliseconds.
local count = 0
local users = 1000
local path
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
  return wrk.format("GET", string.format("/users/user%d@example.org", count % users + 2))
end

-- As bench/fill.c makes them; numbers up to 2^53 are exact.
local function read_filled()
  local number = math.random(users)
  return wrk.format("GET", string.format("/users/%08x-%d@example.org", number * 83886043 % 4294967291, number))
end

local function same()
  return wrk.format("GET", path)
end

function init(arguments)
  make = ({create = create, scatter = scatter, read = read, read_filled = read_filled, same = same})[arguments[1]]
  users = tonumber(arguments[2]) or users
  path = arguments[2]
  math.randomseed(os.time())
  local pause = tonumber(arguments[3] or 0)
  if pause > 0 then
    function delay() return pause end
  end
end

function request()
  count = count + 1
  return make()
end
