// Copies one stream of a task's log, whatever happens to the daemon meanwhile.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "boxkeeper/v1/executor.pb.h"
#include "cli/client.h"
#include "cli/patience.h"

namespace boxkeeper::cli {

struct LogSource {
  std::string id;
  v1::ReadLogRequest::Stream stream = v1::ReadLogRequest::STDOUT;
  int64_t offset = 0;
  std::optional<int64_t> tail_lines;  // instead of the offset
  bool follow = false;
};

// Gives every byte from the source's start to `sink`, once and in order, until the stream's end
// (OK). Where the daemon goes away it waits by `patience` and resumes at the next byte.
// "[boxkeeper: dropped N bytes]" stands, on a line of its own, where the task's limit dropped some.
// A sink that answers false ends the copy with kAborted/OUTPUT_CLOSED.
absl::Status CopyLog(Client& client, const LogSource& source, Patience& patience,
                     const std::function<bool(std::string_view)>& sink);

}  // namespace boxkeeper::cli
