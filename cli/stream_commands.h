// Commands that follow: logs and events.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "cli/session.h"

namespace boxkeeper::cli {

struct LogsFlags {
  std::string ref;
  bool follow = false;
  std::string stream;  // "stdout" or "stderr", to stdout; empty = both, each to its own
  std::optional<int64_t> offset, tail;
  bool raw = false;  // bytes as they come, also on a terminal
};
int Logs(Session& session, const LogsFlags& flags);

struct EventsFlags {
  std::string owner;
  std::string
      after;  // cursor; empty = after the last acknowledged, without an owner from the oldest kept
  bool follow = false;
};
int Events(Session& session, const EventsFlags& flags);

}  // namespace boxkeeper::cli
