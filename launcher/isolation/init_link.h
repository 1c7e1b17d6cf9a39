// What a sandbox's init tells its supervisor, over a pipe: first whether the command began, then
// how it ended. bwrap's own exit code cannot tell signal 9 from `exit 137`.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace boxkeeper::launcher {

enum class InitWord : uint8_t {
  kStarted = 1,  // exec has succeeded
  kFailed = 2,   // it has not: `value` is errno, `text` what failed
  kEnded = 3,    // `value` is the wait status; `text` "leftovers" where processes were left behind
};

struct InitReport {
  InitWord word = InitWord::kFailed;
  int32_t value = 0;
  std::string text;
};

inline constexpr size_t kInitTextBytesMax = 1024;

// One write, whole or not at all. False where nobody reads any more.
bool WriteReport(int fd, const InitReport& report);
// Takes the first whole report out of `buffer`; nothing if there is none yet.
std::optional<InitReport> TakeReport(std::string* buffer);

}  // namespace boxkeeper::launcher
