#include "daemon/submit/validate_task.h"

#include <algorithm>
#include <cctype>
#include <optional>
#include <set>
#include <string_view>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/file_path.h"
#include "base/id128.h"
#include "blobs/blob_name.h"
#include "config/spec_decoder.h"
#include "google/protobuf/unknown_field_set.h"

namespace boxkeeper::daemon {
namespace {

using providers::FieldViolation;

constexpr size_t kKeyPartBytesMax = 512;
constexpr size_t kOwnerBytesMax = 256;
constexpr size_t kTraceContextBytesMax = 512;
constexpr int kLabelsMax = 64;
constexpr size_t kLabelKeyMax = 63;
constexpr size_t kLabelValueMax = 256;
constexpr int kFilesMax = 1000;
constexpr int kBlobFilesMax = 100;  // the launcher's bound
constexpr int kSecretsMax = 1000;
constexpr uint32_t kModeMax = 07777;
constexpr uint32_t kSecretMode = 0400;
constexpr int64_t kLeaseSecondsMax = 604'800;  // a week

bool HasNul(std::string_view text) { return text.find('\0') != std::string_view::npos; }

bool HasControl(std::string_view text) {
  return std::any_of(text.begin(), text.end(),
                     [](unsigned char c) { return std::iscntrl(c) != 0; });
}

class Validator {
 public:
  Validator(const v1::TaskSpec& spec, std::vector<FieldViolation>* violations)
      : spec_(spec), violations_(violations) {}

  void Run() {
    const size_t bytes = spec_.ByteSizeLong();
    if (bytes > kItemBytesMax) {
      Add("task", absl::StrCat("has ", bytes, " bytes; at most ", kItemBytesMax, " are allowed"));
    }
    Unknown(spec_, "task");
    if (!base::Id128::ParseUuid(spec_.submission_id()).has_value()) {
      Add("submission_id",
          spec_.submission_id().empty()
              ? "is missing; allowed: a UUID, e.g. 123e4567-e89b-12d3-a456-426614174000"
              : "is no UUID; allowed: e.g. 123e4567-e89b-12d3-a456-426614174000");
    }
    Key();
    Owner();
    Command();
    Files();
    Secrets();
    Labels();
    Lease();
    if (!v1::OnLiveKey_IsValid(spec_.on_live_key())) {
      Add("on_live_key",
          "is unknown to this version; allowed: ON_LIVE_KEY_REJECT, "
          "ON_LIVE_KEY_AFTER or ON_LIVE_KEY_REPLACE");
    }
    if (spec_.trace_context().size() > kTraceContextBytesMax || HasControl(spec_.trace_context())) {
      Add("trace_context", absl::StrCat("allowed: at most ", kTraceContextBytesMax,
                                        " bytes without control characters"));
    }
  }

 private:
  void Add(std::string field, std::string description) {
    if (violations_->size() > kViolationsMax) return;  // one too many: Prepare says so
    violations_->push_back({std::move(field), std::move(description)});
  }

  // A field of a newer client may change what the task means: it is refused, not ignored.
  template <typename Message>
  void Unknown(const Message& message, const std::string& field) {
    const auto& unknown = message.GetReflection()->GetUnknownFields(message);
    for (int i = 0; i < std::min(unknown.field_count(), 1); ++i) {
      Add(field, absl::StrCat("carries field number ", unknown.field(i).number(),
                              ", which this version does not know; allowed: the fields of its ",
                              message.GetTypeName()));
    }
  }

  void KeyPart(const char* field, const std::string& value) {
    if (value.size() > kKeyPartBytesMax || HasControl(value)) {
      Add(absl::StrCat("key.", field),
          absl::StrCat("allowed: at most ", kKeyPartBytesMax, " bytes without control characters"));
    }
  }

  void Key() {
    const v1::TaskKey& key = spec_.key();
    Unknown(key, "key");
    if (key.name().empty()) {
      Add("key.name", "is missing; allowed: the task's name, 1 to 512 bytes");
    }
    KeyPart("namespace", key.namespace_());
    KeyPart("group", key.group());
    KeyPart("run", key.run());
    KeyPart("name", key.name());
    if (!v1::TaskKey::Kind_IsValid(key.kind())) {
      Add("key.kind", "is unknown to this version; allowed: TASK, CALLBACK, STEP or COMMAND");
    }
    if (key.index() < -1) Add("key.index", "is below -1; allowed: -1 (unmapped) or more");
    if (key.try_() < 0) Add("key.try", "is negative; allowed: 1 or more (0 is taken as 1)");
  }

  void Owner() {
    if (spec_.owner().size() > kOwnerBytesMax || HasControl(spec_.owner())) {
      Add("owner",
          absl::StrCat("allowed: at most ", kOwnerBytesMax, " bytes without control characters"));
    }
  }

  void Command() {
    const v1::Command& command = spec_.command();
    Unknown(command, "command");
    switch (command.form_case()) {
      case v1::Command::kArgv:
        return Argv(command.argv());
      case v1::Command::kShell:
        return Text("command.shell", command.shell(), "a shell command");
      case v1::Command::kScript:
        return Script(command.script());
      case v1::Command::FORM_NOT_SET:
        return Add("command", "is missing; allowed: exactly one of argv, shell and script");
    }
  }

  void Argv(const v1::Command::Argv& argv) {
    Unknown(argv, "command.argv");
    if (argv.args().empty()) {
      Add("command.argv.args", "is empty; allowed: a program and its arguments");
      return;
    }
    if (argv.args(0).empty()) {
      Add("command.argv.args[0]", "is empty; allowed: a program's name or path");
    }
    for (int i = 0; i < argv.args_size(); ++i) {
      if (HasNul(argv.args(i))) {
        Add(absl::StrCat("command.argv.args[", i, "]"),
            "contains a NUL character; allowed: text without NUL");
      }
    }
  }

  void Text(const char* field, const std::string& text, const char* what) {
    if (text.empty()) {
      Add(field, absl::StrCat("is empty; allowed: ", what, " of at least one character"));
    } else if (HasNul(text)) {
      Add(field, "contains a NUL character; allowed: text without NUL");
    }
  }

  void Script(const v1::Command::Script& script) {
    Unknown(script, "command.script");
    const std::string& lang = script.lang();
    if (!lang.empty() && lang != "sh" && lang != "bash" && lang != "python") {
      Add("command.script.lang", "is unknown; allowed: sh, bash or python (empty = sh)");
    }
    Text("command.script.body", script.body(), "a script");
  }

  void Files() {
    if (spec_.files_size() > kFilesMax) {
      Add("files",
          absl::StrCat("has ", spec_.files_size(), " files; at most ", kFilesMax, " are allowed"));
      return;
    }
    std::set<std::string> paths;  // normal forms
    for (int i = 0; i < spec_.files_size(); ++i) {
      const v1::TaskFile& file = spec_.files(i);
      const std::string field = absl::StrCat("files[", i, "]");
      Unknown(file, field);
      const std::optional<std::string> path = base::NormalFilePath(file.path());
      if (!path.has_value()) {
        Add(field + ".path",
            "allowed: an absolute path or one relative to the working directory, that names a "
            "file, without '..' and NUL, of at most 4096 bytes and 255 a part");
      } else if (!paths.insert(*path).second) {
        Add(field + ".path", "stands twice; allowed: each path once");
      }
      Blob(file, field);
      if (file.secret() && file.mode() != 0 && file.mode() != kSecretMode) {
        Add(field + ".mode", "a secret file's mode is always 0400; allowed: 0400, or unset");
      } else if (file.mode() > kModeMax) {
        Add(field + ".mode", "is no set of permission bits; allowed: 0 to 07777 (0 = 0644)");
      }
    }
    NestedFiles(paths);
  }

  void Blob(const v1::TaskFile& file, const std::string& field) {
    if (file.blob().empty()) return;
    if (!blobs::IsBlobName(file.blob())) {
      Add(field + ".blob", "is no SHA-256; allowed: 64 lower-case hexadecimal digits");
    } else if (!file.content().empty()) {
      Add(field + ".blob", "stands beside content; allowed: one of the two");
    } else if (file.secret()) {
      Add(field + ".blob", "is not sealed; allowed: content, for a secret file");
    }
    if (++blobs_ == kBlobFilesMax + 1) {
      Add("files",
          absl::StrCat("has more than ", kBlobFilesMax, " files with a blob; allowed: that many"));
    }
  }

  // No path may be a directory of another.
  void NestedFiles(const std::set<std::string>& paths) {
    for (auto path = paths.begin(); path != paths.end(); ++path) {
      const auto below = paths.lower_bound(*path + "/");
      if (below != paths.end() && below->rfind(*path + "/", 0) == 0) {
        Add("files", "one path is a directory of another; allowed: paths of files only");
        return;
      }
    }
  }

  void Secrets() {
    if (spec_.secrets_size() > kSecretsMax) {
      Add("secrets", absl::StrCat("has ", spec_.secrets_size(), " secrets; at most ", kSecretsMax,
                                  " are allowed"));
      return;
    }
    std::set<std::string> names;  // a protobuf map has no order; messages should have one
    for (const auto& [name, secret] : spec_.secrets()) names.insert(name);
    for (const std::string& name : names) {
      const v1::Secret& secret = spec_.secrets().at(name);
      if (std::string wrong = config::CheckEnvName(name); !wrong.empty()) {
        Add("secrets", wrong);
        continue;
      }
      const std::string field = "secrets." + name;
      Unknown(secret, field);
      if (secret.source_case() == v1::Secret::SOURCE_NOT_SET) {
        Add(field, "has no source; allowed: exactly one of value, env and file");
      } else if (HasNul(secret.value())) {
        Add(field + ".value", "contains a NUL character; allowed: text without NUL");
      }
    }
  }

  void Labels() {
    if (spec_.labels_size() > kLabelsMax) {
      Add("labels", absl::StrCat("has ", spec_.labels_size(), " labels; at most ", kLabelsMax,
                                 " are allowed"));
      return;
    }
    std::set<std::string> keys;
    for (const auto& [key, value] : spec_.labels()) keys.insert(key);
    for (const std::string& key : keys) {
      const bool good =
          !key.empty() && key.size() <= kLabelKeyMax &&
          std::all_of(key.begin(), key.end(), [](unsigned char c) {
            return std::isalnum(c) != 0 || c == '.' || c == '_' || c == '/' || c == '-';
          });
      if (!good) {
        Add("labels", "a label's key is bad; allowed: 1 to 63 characters of [A-Za-z0-9._/-]");
        continue;
      }
      const std::string& value = spec_.labels().at(key);
      if (value.size() > kLabelValueMax || HasControl(value)) {
        Add("labels." + key, "allowed: at most 256 bytes without control characters");
      }
    }
  }

  void Lease() {
    if (!spec_.has_lease()) return;
    const v1::Lease& lease = spec_.lease();
    Unknown(lease, "lease");
    const google::protobuf::Duration& ttl = lease.ttl();
    const bool valid = ttl.nanos() > -1'000'000'000 && ttl.nanos() < 1'000'000'000 &&
                       ttl.seconds() >= 0 && ttl.nanos() >= 0 &&
                       (ttl.seconds() > 0 || ttl.nanos() > 0) && ttl.seconds() < kLeaseSecondsMax;
    if (!valid) Add("lease.ttl", "allowed: a duration above 0, below 168h");
    if (!v1::Lease::OnLapse_IsValid(lease.on_lapse())) {
      Add("lease.on_lapse", "is unknown to this version; allowed: KEEP or CANCEL");
    }
  }

  const v1::TaskSpec& spec_;
  std::vector<FieldViolation>* violations_;
  int blobs_ = 0;
};

}  // namespace

void ValidateTask(const v1::TaskSpec& spec, std::vector<FieldViolation>* violations) {
  Validator(spec, violations).Run();
}

}  // namespace boxkeeper::daemon
