#include "cli/exit_code.h"

#include "absl/strings/str_cat.h"
#include "base/reason_words.h"
#include "cli/escape.h"
#include "cli/proto_node.h"

namespace boxkeeper::cli {
bool IsTerminal(v1::TaskState state) {
  switch (state) {
    case v1::TASK_STATE_SUCCEEDED:
    case v1::TASK_STATE_FAILED:
    case v1::TASK_STATE_CANCELLED:
    case v1::TASK_STATE_LOST:
      return true;
    default:
      return false;
  }
}

int ExitCodeOf(const v1::Task& task) {
  if (task.state() == v1::TASK_STATE_SUCCEEDED) return kExitOk;
  if (task.state() != v1::TASK_STATE_FAILED) return kExitOurs;
  switch (task.reason()) {
    case v1::REASON_EXIT_CODE: {
      // FAILED without a code that says so is not the command's own word.
      if (!task.has_exit_code() || task.exit_code() == 0) return kExitOurs;
      int low = task.exit_code() & 255;
      return low == 0 ? 1 : low;
    }
    case v1::REASON_SIGNAL:
      return task.has_signal() && task.signal() > 0 && task.signal() < 128 ? 128 + task.signal()
                                                                           : kExitOurs;
    case v1::REASON_OOM:
      return 137;
    case v1::REASON_RUN_TIMEOUT:
      return kExitTimeout;
    default:
      return kExitOurs;
  }
}

std::string EndLine(const v1::Task& task) {
  std::string line = EnumWord(task.state());
  if (task.reason() != v1::REASON_UNSPECIFIED) absl::StrAppend(&line, "/", EnumWord(task.reason()));
  const std::string why =
      task.message().empty() ? std::string(base::ReasonWords(task.reason())) : task.message();
  if (!why.empty()) absl::StrAppend(&line, ": ", EscapeLine(why));
  return line;
}

}  // namespace boxkeeper::cli
