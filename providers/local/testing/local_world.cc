#include "providers/local/testing/local_world.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "absl/strings/str_cat.h"
#include "base/real_clock.h"

namespace boxkeeper::providers::local::testing {

using namespace std::chrono_literals;
using Isolation = LocalOptions::Isolation;

namespace {

constexpr char kMarksInside[] = "/marks";  // the same folder, as an isolated command names it

}  // namespace

LocalWorld::LocalWorld(Isolation isolation) : isolation_(isolation), clock_(base::MakeRealClock()) {
  char path[] = "/tmp/bk-local-XXXXXX";
  EXPECT_NE(mkdtemp(path), nullptr);
  directory_ = path;
  std::filesystem::create_directory(directory_ + "/spool");
  std::filesystem::create_directory(marks());
  // Root's isolated commands are those of another user.
  std::filesystem::permissions(marks(), std::filesystem::perms::all);
  RestartAdapter();
}

LocalWorld::~LocalWorld() {
  KillLauncher();
  provider_.reset();
  context_.poll();
  // Supervisors of a test that failed half-way end with their records.
  std::error_code ignored;
  std::filesystem::remove_all(directory_, ignored);
}

void LocalWorld::RestartAdapter() {
  provider_.reset();
  LocalProvider::Settings settings;
  settings.state_dir = directory_;
  settings.launcher_path = std::filesystem::absolute("launcher/boxlaunch");
  settings.options.isolation = isolation_;
  settings.options.allow_host_paths = {marks(), "/data"};  // the latter is what the suite asks for
  auto provider = LocalProvider::Create({context_.get_executor(), *clock_}, std::move(settings));
  ASSERT_TRUE(provider.ok()) << provider.status();
  provider_ = *std::move(provider);
}

std::string LocalWorld::WhyNotHere() {
  if (isolation_ == Isolation::kNone) return "";
  return provider_->launcher()->abilities.bubblewrap.why_not;
}

v1::SandboxSpec LocalWorld::Spec() {
  v1::SandboxSpec spec;
  if (isolation_ == Isolation::kNone) return spec;
  v1::Volume* volume = spec.add_volumes();
  volume->set_source(marks());
  volume->set_target(kMarksInside);
  return spec;
}

bool LocalWorld::RunUntil(const std::function<bool()>& done, std::chrono::nanoseconds limit) {
  const base::BootTime end = clock_->Boot() + limit;
  while (!done() && clock_->Boot() < end) {
    context_.restart();
    context_.run_one_for(std::min<std::chrono::nanoseconds>(5ms, end - clock_->Boot()));
  }
  return done();
}

v1::Command LocalWorld::Command(const std::string& exec_id, CommandKind kind) {
  v1::Command command;
  if (kind.kind == CommandKind::kNotExecutable) {
    command.mutable_argv()->add_args("/no/such/program");
    return command;
  }
  // The first step that can be seen comes after the trap.
  std::string text = kind.kind == CommandKind::kIgnoreTerm ? "trap '' TERM; " : "";
  absl::StrAppend(&text, "echo ran >> ", isolation_ == Isolation::kNone ? marks() : kMarksInside,
                  "/", exec_id, "; ");
  switch (kind.kind) {
    case CommandKind::kDieBySignal:
      absl::StrAppend(&text, "kill -", kind.value, " $$");
      break;
    case CommandKind::kRunForever:
    case CommandKind::kIgnoreTerm:
      text += "exec sleep 1000";
      break;
    case CommandKind::kPrint:
      absl::StrAppend(&text, "exec head -c ", kind.value, " /dev/zero");
      break;
    case CommandKind::kRunBriefly:
      absl::StrAppend(&text, "sleep 0.3; exit ", kind.value);
      break;
    default:
      absl::StrAppend(&text, "exit ", kind.value);
  }
  command.set_shell(text);
  return command;
}

int LocalWorld::Executions(const std::string& exec_id) {
  const std::string lines = ReadWholeFile(absl::StrCat(marks(), "/", exec_id));
  return static_cast<int>(std::count(lines.begin(), lines.end(), '\n'));
}

pb::SpoolPaths LocalWorld::Spool(const std::string& exec_id) {
  const std::string prefix = absl::StrCat(directory_, "/spool/", exec_id);
  pb::SpoolPaths paths;
  paths.set_stdout_path(prefix + ".stdout");
  paths.set_stderr_path(prefix + ".stderr");
  paths.set_index_path(prefix + ".index");
  return paths;
}

std::string LocalWorld::Spooled(const std::string& exec_id, const std::string& stream) {
  return ReadWholeFile(absl::StrCat(directory_, "/spool/", exec_id, ".", stream));
}

void LocalWorld::KillLauncher() {
  if (provider_ == nullptr || !provider_->launcher().has_value()) return;
  kill(static_cast<pid_t>(provider_->launcher()->pid), SIGKILL);
}

std::string ReadWholeFile(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

}  // namespace boxkeeper::providers::local::testing
