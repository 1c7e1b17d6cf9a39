#include "cli/spec.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/duration_text.h"
#include "base/status_macros.h"
#include "base/task_key.h"
#include "base/utf8.h"
#include "cli/files.h"
#include "cli/human.h"
#include "cli/script.h"
#include "cli/uuid.h"
#include "cli/wanted_output.h"

namespace boxkeeper::cli {
namespace {

using Pair = std::pair<std::string, std::string>;

// A file above this becomes a blob; so do the largest ones, where all together are above the other
// bound. An item has room for 1 MiB (design of the API), which command and environment need too.
constexpr int64_t kInlineFileMax = 256 * 1024;
constexpr size_t kInlineFilesMax = 512 * 1024;
constexpr char kInputFile[] = ".boxkeeper-stdin";  // in the work directory

absl::Status Wrong(const std::string& flag, const std::string& why) {
  return absl::InvalidArgumentError(absl::StrCat(flag, ": ", why));
}

// The proto's texts are UTF-8; bytes that are not would be refused far from here, with a worse
// message.
absl::Status CheckText(const std::string& flag, const std::string& text) {
  if (!base::IsUtf8(text)) return Wrong(flag, "is not UTF-8");
  if (text.find('\0') != std::string::npos) return Wrong(flag, "contains NUL");
  return absl::OkStatus();
}

absl::StatusOr<Pair> EnvPair(const std::string& flag, const std::string& text,
                             const Console& console) {
  const size_t equals = text.find('=');
  Pair pair(text.substr(0, equals), "");
  if (pair.first.empty()) return Wrong(flag, absl::StrCat("'", text, "' is not NAME=VALUE"));
  if (equals != std::string::npos) {
    pair.second = text.substr(equals + 1);
  } else if (auto value = console.env(text)) {
    pair.second = *std::move(value);
  } else {
    return Wrong(flag, absl::StrCat("'", text, "' is not NAME=VALUE, nor a variable set here"));
  }
  RETURN_IF_ERROR(CheckText(absl::StrCat(flag, " ", pair.first), pair.second));
  RETURN_IF_ERROR(CheckText(flag, pair.first));
  return pair;
}

// Lines NAME=VALUE or NAME; blank ones and those that begin with '#' do not count. Values are taken
// as they stand.
absl::Status AddEnvFile(const std::string& path, const Console& console, std::vector<Pair>& env) {
  auto content = ReadLocalFile(path);
  if (!content.ok()) return Wrong("--env-file", std::string(content.status().message()));
  size_t number = 0;
  for (size_t start = 0; start < content->size();) {
    size_t end = content->find('\n', start);
    if (end == std::string::npos) end = content->size();
    std::string line = content->substr(start, end - start);
    start = end + 1;
    ++number;
    if (!line.empty() && line.back() == '\r') line.pop_back();
    const size_t first = line.find_first_not_of(" \t");
    if (first == std::string::npos || line[first] == '#') continue;
    const std::string where = absl::StrCat("--env-file ", path, ":", number);
    ASSIGN_OR_RETURN(Pair pair, EnvPair(where, line.substr(first), console));
    env.push_back(std::move(pair));
  }
  return absl::OkStatus();
}

absl::StatusOr<std::vector<Pair>> CollectEnv(const SubmitFlags& flags, const Console& console) {
  std::vector<Pair> env;
  for (const std::string& path : flags.env_files) {
    RETURN_IF_ERROR(AddEnvFile(path, console, env));
  }
  for (const std::string& text : flags.env) {
    ASSIGN_OR_RETURN(Pair pair, EnvPair("--env", text, console));
    env.push_back(std::move(pair));
  }
  return env;
}

// NAME             the value of boxctl's own variable NAME
// NAME=env:VAR     ... of its variable VAR
// NAME=file:PATH   the content of a file here
// NAME=server-env:VAR, NAME=server-file:PATH   resolved by the daemon, from its allow-list
// NAME=value:TEXT, NAME=TEXT                   the text itself (other users of this machine can see
// it in boxctl's argv)
absl::Status AddSecret(const std::string& text, const Console& console, v1::TaskSpec& spec) {
  const size_t equals = text.find('=');
  const std::string name = text.substr(0, equals);
  if (name.empty()) return Wrong("--secret", "needs a name: NAME or NAME=SOURCE");
  const std::string source = equals == std::string::npos ? "env:" + name : text.substr(equals + 1);
  const std::string flag = "--secret " + name;
  RETURN_IF_ERROR(CheckText("--secret", name));
  auto argument = [&source](const std::string& prefix) -> std::optional<std::string> {
    if (source.rfind(prefix, 0) != 0) return std::nullopt;
    return source.substr(prefix.size());
  };
  v1::Secret& secret = (*spec.mutable_secrets())[name];
  if (auto variable = argument("server-env:")) {
    secret.set_env(*variable);
  } else if (auto path = argument("server-file:")) {
    secret.set_file(*path);
  } else if (auto variable = argument("env:")) {
    auto value = console.env(*variable);
    if (!value) return Wrong(flag, absl::StrCat("no variable '", *variable, "' is set here"));
    secret.set_value(*std::move(value));
  } else if (auto path = argument("file:")) {
    auto content = ReadLocalFile(*path);
    if (!content.ok()) return Wrong(flag, std::string(content.status().message()));
    secret.set_value(*std::move(content));
  } else {
    secret.set_value(argument("value:").value_or(source));
  }
  return CheckText(flag, secret.value());
}

void AddBlob(LocalBlob blob, v1::TaskFile& file, Submission& submission) {
  file.set_blob(blob.sha256);
  submission.blobs.push_back(std::move(blob));
}

absl::Status AddFile(const std::string& flag, const std::string& text, bool secret,
                     Submission& submission) {
  const size_t colon = text.find(':');
  if (colon == std::string::npos || colon == 0 || colon + 1 == text.size()) {
    return Wrong(flag, absl::StrCat("'", text, "' is not LOCAL:REMOTE"));
  }
  const std::string local = text.substr(0, colon);
  v1::TaskFile& file = *submission.spec.add_files();
  file.set_path(text.substr(colon + 1));
  file.set_secret(secret);
  if (!secret) {
    ASSIGN_OR_RETURN(uint32_t mode, LocalFileMode(local));
    file.set_mode(mode);
    ASSIGN_OR_RETURN(const int64_t size, LocalFileSize(local));
    if (size > kInlineFileMax) {
      ASSIGN_OR_RETURN(LocalBlob blob, BlobOfFile(local));
      AddBlob(std::move(blob), file, submission);
      return CheckText(flag, file.path());
    }
  }
  auto content = ReadLocalFile(local);
  if (!content.ok()) return Wrong(flag, std::string(content.status().message()));
  file.set_content(*std::move(content));
  return CheckText(flag, file.path());
}

absl::Status AddInput(const std::string& input, const Console& console, Submission& submission) {
  if (input.empty()) return absl::OkStatus();
  auto& fields = *submission.spec.mutable_sandbox_override()->mutable_fields();
  fields["stdin"].set_string_value(kInputFile);
  if (input != "-") {
    return AddFile("--stdin", absl::StrCat(input, ":", kInputFile), false, submission);
  }
  v1::TaskFile& file = *submission.spec.add_files();
  file.set_path(kInputFile);
  file.set_content(console.read_stdin());
  return absl::OkStatus();
}

// The largest first, until the others fit.
void MoveToBlobs(Submission& submission) {
  std::vector<v1::TaskFile*> files;
  size_t bytes = 0;
  for (v1::TaskFile& file : *submission.spec.mutable_files()) {
    if (file.secret()) continue;
    bytes += file.content().size();
    files.push_back(&file);
  }
  std::sort(files.begin(), files.end(),
            [](const auto* a, const auto* b) { return a->content().size() > b->content().size(); });
  for (v1::TaskFile* file : files) {
    const size_t size = file->content().size();
    if (bytes <= kInlineFilesMax && size <= static_cast<size_t>(kInlineFileMax)) return;
    bytes -= size;
    AddBlob(BlobOfContent(std::move(*file->mutable_content())), *file, submission);
    file->clear_content();
  }
}

// sandbox_override, one key after the other.
class Override {
 public:
  explicit Override(google::protobuf::Struct* fields) : fields_(*fields->mutable_fields()) {}

  void Text(const std::string& key, const std::string& value) {
    if (!value.empty()) fields_[key].set_string_value(value);
  }
  template <typename T>
  void Number(const std::string& key, const std::optional<T>& value) {
    if (value) fields_[key].set_number_value(static_cast<double>(*value));
  }
  // One text alone stands without a list.
  void Texts(const std::string& key, const std::vector<std::string>& values) {
    if (values.size() == 1) return Text(key, values[0]);
    List(key, values);
  }
  void List(const std::string& key, const std::vector<std::string>& values) {
    for (const std::string& value : values) {
      fields_[key].mutable_list_value()->add_values()->set_string_value(value);
    }
  }
  void Map(const std::string& key, const std::vector<Pair>& pairs) {
    for (const auto& [name, value] : pairs) {
      auto& fields = *fields_[key].mutable_struct_value()->mutable_fields();
      fields[name].set_string_value(value);
    }
  }

 private:
  google::protobuf::Map<std::string, google::protobuf::Value>& fields_;
};

absl::Status FillOverride(const SubmitFlags& flags, const Console& console,
                          google::protobuf::Struct* fields) {
  Override override(fields);
  override.Texts("provider", flags.provider);
  override.Text("profile", flags.profile);
  override.Text("image", flags.image);
  override.Text("template", flags.template_name);
  override.Number("cpu", flags.cpu);
  override.Number("memory_mb", flags.memory_mb);
  override.Number("disk_mb", flags.disk_mb);
  override.Text("gpu", flags.gpu);
  override.Text("network", flags.network);
  override.List("volumes", flags.volumes);
  std::vector<std::string> patterns;
  for (const std::string& output : flags.outputs) {
    patterns.push_back(ParseWantedOutput(output).pattern);
  }
  override.List("outputs", patterns);
  override.Text("workdir", flags.workdir);
  override.Text("user", flags.user);
  override.Number("priority", flags.priority);
  if (!flags.timeout.empty()) {
    auto timeout = base::DurationFromText(flags.timeout);
    if (!timeout.ok()) return Wrong("--timeout", std::string(timeout.status().message()));
    override.Text("timeout", base::DurationToText(*timeout));
  }
  if (!flags.start_deadline.empty()) {
    auto moment = ParseMoment(flags.start_deadline, console.now());
    if (!moment.ok()) return Wrong("--start-deadline", std::string(moment.status().message()));
    override.Text("start_deadline", *moment);
  }
  ASSIGN_OR_RETURN(std::vector<Pair> env, CollectEnv(flags, console));
  override.Map("env", env);
  return absl::OkStatus();
}

// Sets the command; answers the program's name for the default key.
absl::StatusOr<std::string> FillCommand(const SubmitFlags& flags, const Console& console,
                                        v1::Command* command) {
  const int forms = !flags.argv.empty() + !flags.shell.empty() + !flags.script.empty();
  if (forms != 1) {
    return absl::InvalidArgumentError(
        forms == 0 ? "no command: give -- PROGRAM ARG..., --shell 'COMMAND' or a script's path"
                   : "give only one of -- PROGRAM ARG..., --shell and a script's path");
  }
  if (!flags.lang.empty() && flags.script.empty()) return Wrong("--lang", "goes with a script");
  if (!flags.shell.empty()) {
    RETURN_IF_ERROR(CheckText("--shell", flags.shell));
    command->set_shell(flags.shell);
    return "shell";
  }
  if (!flags.script.empty()) {
    ASSIGN_OR_RETURN(Script script, LoadScript(flags.script, flags.lang, console));
    RETURN_IF_ERROR(CheckText("the script", script.body));
    command->mutable_script()->set_lang(script.lang);
    command->mutable_script()->set_body(script.body);
    return script.name;
  }
  for (const std::string& argument : flags.argv) {
    RETURN_IF_ERROR(CheckText("an argument of the command", argument));
    command->mutable_argv()->add_args(argument);
  }
  return BaseName(flags.argv[0]);
}

absl::StatusOr<v1::OnLiveKey> ParseOnLiveKey(const std::string& text) {
  if (text.empty() || text == "reject") return v1::ON_LIVE_KEY_REJECT;
  if (text == "after") return v1::ON_LIVE_KEY_AFTER;
  if (text == "replace") return v1::ON_LIVE_KEY_REPLACE;
  return Wrong("--on-live-key", "must be reject, after or replace");
}

}  // namespace

absl::StatusOr<std::vector<Pair>> ParsePairs(const std::string& flag,
                                             const std::vector<std::string>& texts) {
  std::vector<Pair> pairs;
  for (const std::string& text : texts) {
    const size_t equals = text.find('=');
    if (equals == std::string::npos || equals == 0) {
      return Wrong(flag, absl::StrCat("'", text, "' is not NAME=VALUE"));
    }
    RETURN_IF_ERROR(CheckText(flag, text));
    pairs.emplace_back(text.substr(0, equals), text.substr(equals + 1));
  }
  return pairs;
}

absl::StatusOr<Submission> BuildSubmission(const SubmitFlags& flags, const Console& console) {
  if (flags.script == "-" && flags.input == "-") {
    return Wrong("--stdin", "is - like the script; only one of them can read boxctl's stdin");
  }
  Submission submission;
  v1::TaskSpec& spec = submission.spec;
  spec.set_submission_id(flags.submission_id.empty() ? NewUuid() : flags.submission_id);
  spec.set_owner(flags.owner);
  ASSIGN_OR_RETURN(std::string program, FillCommand(flags, console, spec.mutable_command()));
  if (flags.key.empty()) {
    spec.mutable_key()->set_kind(v1::TaskKey::COMMAND);
    spec.mutable_key()->set_run(spec.submission_id());
    spec.mutable_key()->set_name(program);
  } else {
    auto key = base::ParseKey(flags.key);
    if (!key.ok()) {  // its message begins with "key: "
      return absl::InvalidArgumentError("--" + std::string(key.status().message()));
    }
    *spec.mutable_key() = *std::move(key);
  }
  RETURN_IF_ERROR(FillOverride(flags, console, spec.mutable_sandbox_override()));
  for (const std::string& text : flags.secrets) RETURN_IF_ERROR(AddSecret(text, console, spec));
  for (const std::string& text : flags.files) {
    RETURN_IF_ERROR(AddFile("--file", text, false, submission));
  }
  for (const std::string& text : flags.secret_files) {
    RETURN_IF_ERROR(AddFile("--secret-file", text, true, submission));
  }
  RETURN_IF_ERROR(AddInput(flags.input, console, submission));
  MoveToBlobs(submission);
  ASSIGN_OR_RETURN(std::vector<Pair> labels, ParsePairs("--label", flags.labels));
  for (auto& [name, value] : labels) (*spec.mutable_labels())[name] = value;
  ASSIGN_OR_RETURN(v1::OnLiveKey on_live_key, ParseOnLiveKey(flags.on_live_key));
  spec.set_on_live_key(on_live_key);
  return submission;
}

}  // namespace boxkeeper::cli
