#include "providers/fakecloud/wire.h"

#include <limits>
#include <string_view>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "base/status_macros.h"

namespace boxkeeper::providers::fakecloud {

namespace json = boost::json;

namespace {

// Handles are at most 4 KiB (design); names and labels of ours are far below.
constexpr size_t kTextBytesMax = 4096;

std::string Text(const json::string& text) { return {text.data(), text.size()}; }

absl::Status Wrong(std::string_view key, const char* what) {
  return absl::InvalidArgumentError(absl::StrCat("'", std::string(key), "' ", what));
}

// Reads the fields of one object; the first mistake stays.
class Fields {
 public:
  explicit Fields(const json::value& value) : object_(value.if_object()) {
    if (object_ == nullptr) status_ = absl::InvalidArgumentError("an object was due");
  }

  const json::value* Find(std::string_view key) const {
    if (object_ == nullptr) return nullptr;
    const json::value* value = object_->if_contains(json::string_view(key.data(), key.size()));
    return value == nullptr || value->is_null() ? nullptr : value;
  }
  std::string String(std::string_view key, bool needed = false) {
    const json::value* value = Find(key);
    if (value == nullptr) {
      if (needed) Fail(key, "is missing");
      return "";
    }
    if (!value->is_string()) return Fail(key, "must be text"), "";
    if (value->as_string().size() > kTextBytesMax) return Fail(key, "is too long"), "";
    if (needed && value->as_string().empty()) return Fail(key, "is empty"), "";
    return Text(value->as_string());
  }
  bool Bool(std::string_view key) {
    const json::value* value = Find(key);
    if (value == nullptr) return false;
    if (!value->is_bool()) Fail(key, "must be true or false");
    return value->is_bool() && value->as_bool();
  }
  int64_t Whole(std::string_view key, int64_t min, int64_t max) {
    const json::value* value = Find(key);
    if (value == nullptr) return 0;
    json::error_code error;
    const auto number = value->to_number<int64_t>(error);
    if (!error && number >= min && number <= max) return number;
    Fail(key, "is not a whole number in its range");
    return 0;
  }
  // Nothing is set where it is missing.
  template <typename SetTime>
  void Time(std::string_view key, SetTime mutable_time) {
    const std::string text = String(key);
    if (text.empty()) return;
    absl::Time time;
    std::string error;
    if (!absl::ParseTime(absl::RFC3339_full, text, &time, &error)) return Fail(key, "is no time");
    const int64_t nanos = absl::ToUnixNanos(time);
    if (nanos < 0) return Fail(key, "is no time of ours");
    mutable_time()->set_seconds(nanos / 1'000'000'000);
    mutable_time()->set_nanos(static_cast<int32_t>(nanos % 1'000'000'000));
  }
  void Fail(std::string_view key, const char* what) {
    if (status_.ok()) status_ = Wrong(key, what);
  }
  const absl::Status& status() const { return status_; }

 private:
  const json::object* object_;
  absl::Status status_;
};

constexpr int64_t kMax64 = std::numeric_limits<int64_t>::max();

absl::StatusOr<pb::ExitRecord> ExitFromJson(const json::value& value) {
  Fields fields(value);
  pb::ExitRecord exit;
  constexpr int64_t kMax32 = std::numeric_limits<int32_t>::max();
  if (fields.Find("exit_code") != nullptr) {
    exit.set_exit_code(static_cast<int32_t>(fields.Whole("exit_code", 0, kMax32)));
  }
  if (fields.Find("signal") != nullptr) {
    exit.set_signal(static_cast<int32_t>(fields.Whole("signal", 1, 255)));
  }
  if (exit.has_exit_code() && exit.has_signal()) fields.Fail("signal", "beside an exit code");
  exit.set_oom_killed(fields.Bool("oom_killed"));
  exit.set_timed_out(fields.Bool("timed_out"));
  exit.set_start_failed(fields.Bool("start_failed"));
  exit.set_lost(fields.Bool("lost"));
  fields.Time("started_at", [&] { return exit.mutable_started_at(); });
  fields.Time("ended_at", [&] { return exit.mutable_ended_at(); });
  exit.set_stdout_bytes(fields.Whole("stdout_bytes", 0, kMax64));
  exit.set_stderr_bytes(fields.Whole("stderr_bytes", 0, kMax64));
  exit.set_message(fields.String("message"));
  exit.set_attester(v1::ATTESTER_PROVIDER);
  exit.set_fence_confirmed(true);  // this API ends a sandbox with its last process
  RETURN_IF_ERROR(fields.status());
  return exit;
}

pb::SandboxView::State StateOf(const std::string& word) {
  if (word == "created") return pb::SandboxView::CREATED;
  if (word == "starting") return pb::SandboxView::STARTING;
  if (word == "running") return pb::SandboxView::RUNNING;
  if (word == "ended") return pb::SandboxView::ENDED;
  return pb::SandboxView::UNKNOWN;
}

}  // namespace

absl::StatusOr<pb::SandboxView> SandboxFromJson(const json::value& value) {
  Fields fields(value);
  pb::SandboxView view;
  view.set_handle(fields.String("id", true));
  view.set_name(fields.String("name", true));
  view.set_state(StateOf(fields.String("state", true)));
  if (const json::value* labels = fields.Find("labels"); labels != nullptr) {
    if (!labels->is_object()) return Wrong("labels", "must be an object");
    for (const auto& [key, label] : labels->as_object()) {
      if (!label.is_string()) return Wrong("labels", "must hold text");
      (*view.mutable_labels())[std::string(key.data(), key.size())] = Text(label.as_string());
    }
  }
  fields.Time("created_at", [&] { return view.mutable_created_at(); });
  fields.Time("started_at", [&] { return view.mutable_started_at(); });
  view.set_started_marker(view.has_started_at());
  view.set_boot_marker(true);  // an id is never given twice: the instance is the one we made
  view.set_isolation("fakecloud");
  const json::value* exit = fields.Find("exit");
  if (exit != nullptr && view.state() == pb::SandboxView::ENDED) {
    ASSIGN_OR_RETURN(*view.mutable_exit(), ExitFromJson(*exit));
  }
  RETURN_IF_ERROR(fields.status());
  return view;
}

absl::StatusOr<pb::ListPage> ListFromJson(const json::value& value) {
  Fields fields(value);
  pb::ListPage page;
  page.set_next_cursor(fields.String("next_cursor"));
  RETURN_IF_ERROR(fields.status());
  const json::value* rows = fields.Find("sandboxes");
  if (rows == nullptr || !rows->is_array()) return Wrong("sandboxes", "must be a list");
  for (const json::value& row : rows->as_array()) {
    ASSIGN_OR_RETURN(*page.add_sandboxes(), SandboxFromJson(row));
  }
  return page;
}

absl::StatusOr<pb::StartOutcome> StartFromJson(const json::value& value) {
  Fields fields(value);
  pb::StartOutcome outcome;
  const std::string result = fields.String("result", true);
  if (result == "started") {
    fields.Time("at", [&] { return outcome.mutable_started()->mutable_at(); });
    outcome.mutable_started()->set_repeated_call(fields.Bool("repeated"));
  } else if (result == "ended" && fields.Find("exit") != nullptr) {
    ASSIGN_OR_RETURN(*outcome.mutable_ended(), ExitFromJson(*fields.Find("exit")));
  } else if (result == "failed") {
    outcome.mutable_failure()->set_message(fields.String("message"));
    outcome.mutable_failure()->set_errno_value(
        static_cast<int32_t>(fields.Whole("errno", 0, 4096)));
  } else {
    fields.Fail("result", "is a word that nobody knows");
  }
  RETURN_IF_ERROR(fields.status());
  return outcome;
}

std::string ErrorCodeOf(const json::value& body) {
  Fields fields(body);
  const json::value* error = fields.Find("error");
  if (error == nullptr) return "";
  return Fields(*error).String("code");
}

json::object LaunchToJson(const pb::LaunchRequest& launch) {
  json::object out{{"exec_id", launch.exec_id()}};
  const v1::Command& command = launch.command();
  if (command.has_argv()) {
    json::array argv;
    for (const std::string& arg : command.argv().args()) argv.emplace_back(arg);
    out["argv"] = std::move(argv);
  } else if (command.has_shell()) {
    out["shell"] = command.shell();
  } else if (command.has_script()) {
    out["script"] =
        json::object{{"lang", command.script().lang()}, {"body", command.script().body()}};
  }
  json::object env;
  for (const auto& [name, value] : launch.env()) env[name] = value;
  for (const auto& [name, value] : launch.secret_env()) env[name] = value;
  out["env"] = std::move(env);
  const auto millis = [](const google::protobuf::Duration& duration) {
    return duration.seconds() * 1000 + duration.nanos() / 1'000'000;
  };
  out["timeout_ms"] = millis(launch.timeout());
  out["grace_ms"] = millis(launch.grace());
  return out;
}

}  // namespace boxkeeper::providers::fakecloud
