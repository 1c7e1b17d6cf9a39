#include "cli/session.h"

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "base/task_key.h"
#include "cli/escape.h"
#include "cli/exit_code.h"
#include "cli/rpc_error.h"
#include "cli/spec.h"

namespace boxkeeper::cli {
namespace {

absl::Status AddStates(const std::string& word, v1::TaskFilter& filter) {
  const std::string upper = absl::AsciiStrToUpper(word);
  bool found = false;
  for (int number = v1::TASK_STATE_QUEUED; number <= v1::TaskState_MAX; ++number) {
    const auto state = static_cast<v1::TaskState>(number);
    const bool matches = v1::TaskState_Name(state) == "TASK_STATE_" + upper ||
                         (upper == "LIVE" && !IsTerminal(state)) ||
                         (upper == "ENDED" && IsTerminal(state));
    if (!matches) continue;
    filter.add_states(state);
    found = true;
  }
  if (found) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(
      "--state: '", word,
      "' is none of QUEUED CREATING STARTING RUNNING STOPPING SUCCEEDED FAILED CANCELLED LOST, "
      "live, ended"));
}

}  // namespace

Client& Session::client() {
  if (!client_) client_ = std::make_unique<Client>(connection_);
  return *client_;
}

int Session::Fail(const absl::Status& error) const {
  console_.err(ErrorText(error));
  return kExitOurs;
}

int Session::Misused(const absl::Status& error) const {
  console_.err(absl::StrCat("boxctl: ", EscapeLine(std::string(error.message())), "\n"));
  return kExitUsage;
}

absl::StatusOr<v1::TaskRef> ParseRef(const std::string& text) {
  v1::TaskRef ref;
  if (text.find('/') == std::string::npos) {
    ref.set_id(text);
    return ref;
  }
  ASSIGN_OR_RETURN(*ref.mutable_key(), base::ParseKey(text));
  return ref;
}

absl::StatusOr<std::string> ResolveId(Client& client, const std::string& text) {
  v1::GetTaskRequest request;
  ASSIGN_OR_RETURN(*request.mutable_task(), ParseRef(text));
  if (request.task().has_id()) return text;
  ASSIGN_OR_RETURN(v1::Task task, client.GetTask(request));
  return task.id();
}

absl::StatusOr<v1::TaskFilter> BuildFilter(const FilterFlags& flags) {
  v1::TaskFilter filter;
  filter.set_key_prefix(flags.key_prefix);
  if (flags.owner_given) filter.set_owner(flags.owner);
  for (const std::string& word : flags.states) RETURN_IF_ERROR(AddStates(word, filter));
  ASSIGN_OR_RETURN(auto labels, ParsePairs("--label", flags.labels));
  for (auto& [name, value] : labels) (*filter.mutable_labels())[name] = value;
  return filter;
}

}  // namespace boxkeeper::cli
