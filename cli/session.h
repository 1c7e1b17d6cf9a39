// One invocation of boxctl: its console, its output format and, once a command needs it, its
// connection.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "boxkeeper/v1/executor.pb.h"
#include "cli/client.h"
#include "cli/connection.h"
#include "cli/console.h"
#include "cli/output.h"

namespace boxkeeper::cli {

class Session {
 public:
  Session(const Console& console, Format format, Connection connection)
      : console_(console), format_(format), connection_(std::move(connection)) {}

  const Console& console() const { return console_; }
  Format format() const { return format_; }
  // Made at the first call: gRPC starts threads, and `run` must take the signals before that.
  Client& client();

  // Shows the error; answers the exit code of everything of ours.
  int Fail(const absl::Status& error) const;
  // A wrong flag: usage, not failure.
  int Misused(const absl::Status& error) const;

 private:
  const Console& console_;
  const Format format_;
  const Connection connection_;
  std::unique_ptr<Client> client_;
};

// A task named on the command line: an id or, with a '/' in it, a key.
absl::StatusOr<v1::TaskRef> ParseRef(const std::string& text);

// The id of a task named by id (not looked up) or key (the newest generation).
absl::StatusOr<std::string> ResolveId(Client& client, const std::string& text);

// Conditions shared by `ls` and `cancel`.
struct FilterFlags {
  std::vector<std::string> states;  // words of TaskState in any case, "live" or "ended"
  std::vector<std::string> labels;  // K=V
  std::string key_prefix;
  std::string owner;
  bool owner_given = false;  // also `--owner ''`: nobody's tasks

  bool empty() const {
    return states.empty() && labels.empty() && key_prefix.empty() && !owner_given;
  }
};
absl::StatusOr<v1::TaskFilter> BuildFilter(const FilterFlags& flags);

}  // namespace boxkeeper::cli
