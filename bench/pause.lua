-- SPDX-License-Identifier: Apache-2.0
-- wrk's connections each wait so many milliseconds before a request.
local pause = 0

function init(arguments)
  pause = tonumber(arguments[1])
end

function delay()
  return pause
end
