-- id* -> {seconds, micros, row*}
local rows = rows_of(ARGV)
local answer = { tonumber(time[1]), tonumber(time[2]) }
for i = 1, #ARGV do
  answer[i + 2] = rows[i]
end
return answer
