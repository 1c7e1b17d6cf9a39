#include "daemon/core/end_text.h"

#include <string_view>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/strip.h"
#include "base/reason_words.h"

namespace boxkeeper::daemon {
namespace {

// For ends whose reason says all, so that nobody added words.
std::string Explain(const store::v1::TaskStatus& status) {
  switch (status.reason()) {
    case v1::REASON_EXIT_CODE:
      return absl::StrCat("exited with code ", status.exit_code());
    case v1::REASON_SIGNAL:
      return absl::StrCat("killed by signal ", status.signal());
    default: {
      const std::string_view words = base::ReasonWords(status.reason());
      return words.empty() ? "there is no sandbox for it" : std::string(words);
    }
  }
}

std::string Details(const store::v1::TaskStatus& status) {
  std::vector<std::string> details;
  if (status.user_code_started() == v1::USER_CODE_STARTED_NO) {
    details.emplace_back("the command was never started");
  }
  // Where the exit is the reason it is said already.
  const bool said = status.reason() == v1::REASON_EXIT_CODE || status.reason() == v1::REASON_SIGNAL;
  if (status.has_exit_code() && !said) {
    details.push_back(absl::StrCat("exited with code ", status.exit_code()));
  }
  if (status.has_signal() && !said) {
    details.push_back(absl::StrCat("killed by signal ", status.signal()));
  }
  if (!status.log_incomplete().empty()) {
    details.push_back(absl::StrCat("output is missing: ", status.log_incomplete()));
  }
  return details.empty() ? "" : absl::StrCat(" (", absl::StrJoin(details, "; "), ")");
}

}  // namespace

std::string ReasonWord(v1::Reason reason) {
  const std::string name = v1::Reason_Name(reason);
  return std::string(absl::StripPrefix(name, "REASON_"));
}

std::string DescribeEnd(const store::v1::TaskStatus& status) {
  if (status.state() == v1::TASK_STATE_SUCCEEDED) return "";
  const std::string state = v1::TaskState_Name(status.state());
  return absl::StrCat(
      std::string(absl::StripPrefix(state, "TASK_STATE_")), "/", ReasonWord(status.reason()), ": ",
      status.message().empty() ? Explain(status) : status.message(), Details(status));
}

}  // namespace boxkeeper::daemon
