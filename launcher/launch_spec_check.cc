// What a well-formed launch spec may not say.
#include <string>
#include <string_view>
#include <vector>

#include "base/core/outputs_format.h"
#include "base/core/sha256.h"
#include "launcher/launch_spec.h"

namespace boxkeeper::launcher {
namespace {

constexpr size_t kArgBytesMax = 128 * 1024 - 1;  // the kernel's MAX_ARG_STRLEN without the NUL

bool HasNul(std::string_view text) { return text.find('\0') != std::string_view::npos; }

void CheckCommand(const Command& command, std::vector<std::string>* wrong) {
  if (command.kind == CommandKind::kArgv) {
    if (command.argv.empty() || command.argv[0].empty()) wrong->push_back("argv: empty");
    for (const std::string& arg : command.argv) {
      if (HasNul(arg)) wrong->push_back("argv: embedded NUL");
      if (arg.size() > kArgBytesMax) wrong->push_back("argv: an argument above 128 KiB");
    }
    return;
  }
  if (command.kind == CommandKind::kShell) {
    if (HasNul(command.text)) wrong->push_back("shell: embedded NUL");
    if (command.text.size() > kArgBytesMax) wrong->push_back("shell: above 128 KiB");
    return;
  }
  if (command.lang != "sh" && command.lang != "bash" && command.lang != "python") {
    wrong->push_back("script.lang: not one of sh, bash, python");
  }
}

void CheckEnv(const std::vector<EnvVar>& env, std::vector<std::string>* wrong) {
  for (const EnvVar& variable : env) {
    if (variable.name.empty() || HasNul(variable.name) ||
        variable.name.find('=') != std::string::npos) {
      wrong->push_back("env: a name that is empty or has '=' or NUL in it");
    }
    if (HasNul(variable.value)) wrong->push_back("env: embedded NUL");
    if (variable.name.size() + 1 + variable.value.size() > kArgBytesMax) {
      wrong->push_back("env: a variable above 128 KiB");
    }
  }
}

bool IsAbsolute(const std::string& path) {
  return !path.empty() && path[0] == '/' && !HasNul(path);
}

void CheckIsolation(const IsolationSpec& isolation, std::vector<std::string>* wrong) {
  if (!isolation.root.empty() && !IsAbsolute(isolation.root)) {
    wrong->push_back("isolation.root: not an absolute path");
  }
  for (const Volume& volume : isolation.volumes) {
    if (!IsAbsolute(volume.source) || !IsAbsolute(volume.target) || !IsAbsolute(volume.beneath)) {
      wrong->push_back("isolation.volumes: not absolute paths");
    }
  }
  const bool asks = isolation.host_network || !isolation.root.empty() || !isolation.volumes.empty();
  if (asks && isolation.kind == IsolationKind::kNone) {
    wrong->push_back("isolation: network, root and volumes need a kind that isolates");
  }
}

void CheckOutputs(const OutputsSpec& outputs, std::vector<std::string>* wrong) {
  if (outputs.patterns.empty()) return;
  if (!IsAbsolute(outputs.path)) wrong->push_back("outputs.path: not absolute");
  if (outputs.patterns.size() > base::kOutputPatternsMax) {
    wrong->push_back("outputs: more than " + std::to_string(base::kOutputPatternsMax));
  }
  for (const std::string& pattern : outputs.patterns) {
    if (const std::string why = base::CheckOutputPattern(pattern); !why.empty()) {
      wrong->push_back("outputs: a pattern " + why);
    }
  }
}

void CheckFiles(const std::vector<LaunchFile>& files, std::vector<std::string>* wrong) {
  size_t blobs = 0;
  for (const LaunchFile& file : files) {
    if (file.path.empty() || HasNul(file.path)) wrong->push_back("files.path: empty or with NUL");
    if (file.mode > 07777) wrong->push_back("files.mode: above 07777");
    if (file.blob_path.empty()) continue;
    ++blobs;
    if (!IsAbsolute(file.blob_path)) wrong->push_back("files.blob: not an absolute path");
    if (file.blob_sha256.size() != base::CoreSha256::kBytes || file.secret ||
        !file.content.empty()) {
      wrong->push_back("files.blob: without a sum, secret, or beside content");
    }
  }
  if (blobs > kBlobFilesMax) {
    wrong->push_back("files.blob: more than " + std::to_string(kBlobFilesMax));
  }
}

}  // namespace

std::vector<std::string> ValidateLaunchSpec(const LaunchSpec& spec) {
  std::vector<std::string> wrong;
  CheckCommand(spec.command, &wrong);
  CheckEnv(spec.env, &wrong);
  CheckEnv(spec.secret_env, &wrong);
  CheckFiles(spec.files, &wrong);
  if (HasNul(spec.stdin_path)) wrong.push_back("stdin: embedded NUL");
  if (!spec.workdir.empty() && !IsAbsolute(spec.workdir)) {
    wrong.push_back("workdir: not an absolute path");
  }
  for (const std::string* path : {&spec.stdout_path, &spec.stderr_path, &spec.index_path}) {
    if (!IsAbsolute(*path)) wrong.push_back("spool paths: not absolute");
  }
  CheckIsolation(spec.isolation, &wrong);
  CheckOutputs(spec.outputs, &wrong);
  return wrong;
}

}  // namespace boxkeeper::launcher
