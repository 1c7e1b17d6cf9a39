#include "providers/local/local_provider.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <boost/asio/co_spawn.hpp>
#include <filesystem>
#include <set>

#include "absl/strings/str_cat.h"
#include "providers/local/testing/local_world.h"

namespace boxkeeper::providers::local {
namespace {

namespace asio = boost::asio;
using namespace std::chrono_literals;
using testing::LocalWorld;
using testing::ReadWholeFile;
using CommandKind = LocalWorld::CommandKind;

size_t OpenDescriptors(const std::string& pid) {
  size_t count = 0;
  for (const auto& entry : std::filesystem::directory_iterator("/proc/" + pid + "/fd")) {
    (void)entry;
    ++count;
  }
  return count;
}

// Processes other than this one whose `file` ("environ", "cmdline") holds `text`.
std::vector<std::string> ProcessesWith(const std::string& file, const std::string& text) {
  std::vector<std::string> pids;
  for (const auto& entry : std::filesystem::directory_iterator("/proc")) {
    const std::string pid = entry.path().filename();
    if (pid.find_first_not_of("0123456789") != std::string::npos || pid == std::to_string(getpid()))
      continue;
    if (ReadWholeFile(absl::StrCat("/proc/", pid, "/", file)).find(text) != std::string::npos)
      pids.push_back(pid);
  }
  return pids;
}

class LocalProviderTest : public ::testing::Test {
 protected:
  void SetUp() override { ASSERT_TRUE(Await(world_.local().Open(Deadline())).ok()); }
  void TearDown() override {
    for (const std::string& handle : handles_) {
      EXPECT_TRUE(Await(world_.local().Destroy(handle, Deadline())).ok());
    }
  }

  base::BootTime Deadline() { return world_.clock().Boot() + 20s; }

  template <typename T>
  T Await(asio::awaitable<T> call) {
    std::optional<T> result;
    asio::co_spawn(world_.context(), std::move(call), [&](std::exception_ptr error, T value) {
      EXPECT_FALSE(error);
      result.emplace(std::move(value));
    });
    EXPECT_TRUE(world_.RunUntil([&] { return result.has_value(); }, 40s));
    return std::move(*result);
  }
  std::string Create(const std::string& name) {
    pb::CreateRequest request;
    request.set_name(name);
    pb::CreateOutcome outcome;
    auto call = [&]() -> asio::awaitable<bool> {
      std::vector<pb::CreateRequest> batch = {request};
      co_await world_.local().Create(std::move(batch), Deadline(),
                                     [&](size_t, pb::CreateOutcome o) { outcome = o; });
      co_return true;
    };
    Await(call());
    EXPECT_TRUE(outcome.has_handle()) << outcome.error().message();
    handles_.push_back(outcome.handle());
    return outcome.handle();
  }
  pb::LaunchRequest Launch(const std::string& exec_id) {
    pb::LaunchRequest launch;
    launch.set_exec_id(exec_id);
    *launch.mutable_spool() = world_.Spool(exec_id);
    launch.mutable_grace()->set_seconds(1);
    return launch;
  }
  pb::LaunchRequest Launch(const std::string& exec_id, CommandKind kind) {
    pb::LaunchRequest launch = Launch(exec_id);
    *launch.mutable_command() = world_.Command(exec_id, kind);
    return launch;
  }
  pb::StartOutcome Start(const std::string& handle, const pb::LaunchRequest& launch) {
    return Await(world_.local().Start(handle, launch, Deadline()));
  }
  pb::ExitRecord WaitForEnd(const std::string& handle) {
    pb::SandboxView view;
    world_.RunUntil(
        [&] {
          auto answer = Inspect(handle);
          if (answer.ok()) view = *answer;
          return view.state() == pb::SandboxView::ENDED;
        },
        20s);
    EXPECT_EQ(view.state(), pb::SandboxView::ENDED);
    return view.exit();
  }
  absl::StatusOr<pb::SandboxView> Inspect(const std::string& handle) {
    return Await(world_.local().Inspect(handle, Deadline()));
  }

  LocalWorld world_;
  std::vector<std::string> handles_;
};

TEST_F(LocalProviderTest, LauncherKilledInTheMiddleCostsNothing) {
  int looks_at_everything = 0;
  world_.local().OnHint(
      [&](ProviderHint hint) { looks_at_everything += hint.sandbox_name.empty() ? 1 : 0; });
  std::vector<std::string> handles;
  handles.reserve(8);
  for (int i = 0; i < 8; ++i) {
    handles.push_back(Create(absl::StrCat("k", i)));
    ASSERT_TRUE(Start(handles[i], Launch(absl::StrCat("k", i), {CommandKind::kRunBriefly, i}))
                    .has_started());
  }
  const uint32_t pid = world_.local().launcher()->pid;
  world_.KillLauncher();
  // Sent while nobody may be there to answer.
  const std::string late = Create("late");
  ASSERT_FALSE(Start(late, Launch("late", {CommandKind::kExit, 77})).has_error());
  for (int i = 0; i < 8; ++i) EXPECT_EQ(WaitForEnd(handles[i]).exit_code(), i);
  EXPECT_EQ(WaitForEnd(late).exit_code(), 77);
  EXPECT_EQ(world_.Executions("late"), 1);
  EXPECT_NE(world_.local().launcher()->pid, pid);
  EXPECT_EQ(looks_at_everything, 1);
}

TEST_F(LocalProviderTest, StartsManyAtOnce) {
  constexpr int kCount = 64;
  std::vector<std::string> handles;
  handles.reserve(kCount);
  for (int i = 0; i < kCount; ++i) handles.push_back(Create(absl::StrCat("m", i)));
  int answered = 0;
  for (int i = 0; i < kCount; ++i) {
    asio::co_spawn(
        world_.context(),
        world_.local().Start(handles[i], Launch(absl::StrCat("m", i), {CommandKind::kExit, i}),
                             Deadline()),
        [&](std::exception_ptr, pb::StartOutcome outcome) {
          EXPECT_FALSE(outcome.has_error()) << outcome.error().message();
          ++answered;
        });
  }
  EXPECT_TRUE(world_.RunUntil([&] { return answered == kCount; }, 20s));
  for (int i = 0; i < kCount; ++i) {
    EXPECT_EQ(WaitForEnd(handles[i]).exit_code(), i);
    EXPECT_EQ(world_.Executions(absl::StrCat("m", i)), 1);
  }
}

TEST_F(LocalProviderTest, OneExecPerSandbox) {
  const std::string handle = Create("a");
  ASSERT_TRUE(Start(handle, Launch("first", {CommandKind::kRunForever, 0})).has_started());
  const pb::StartOutcome other = Start(handle, Launch("second", {CommandKind::kRunForever, 0}));
  EXPECT_TRUE(other.has_error());
  EXPECT_TRUE(other.error().proves_no_effect());
  EXPECT_EQ(world_.Executions("second"), 0);
}

TEST_F(LocalProviderTest, ArgumentsEnvironmentAndFilesAreByteExact) {
  const std::string odd =
      "quote ' \" line\n$HOME `x` \\ \xc3\xa9 " + std::string(size_t{100} << 10, 'x');
  pb::LaunchRequest launch = Launch("a");
  auto* argv = launch.mutable_command()->mutable_argv();
  for (const char* word :
       {"/bin/sh", "-c",
        "printf '%s|' \"$1\" \"$2\" \"$ODD\" \"$SECRET\"; cat file; stat -c %a key", "sh"}) {
    argv->add_args(word);
  }
  argv->add_args(odd);
  argv->add_args("");
  (*launch.mutable_env())["ODD"] = "an\nenv $value";
  (*launch.mutable_secret_env())["SECRET"] = "hush";
  v1::TaskFile* file = launch.add_files();
  file->set_path("file");
  file->set_content(std::string("nul\0inside", 10));
  v1::TaskFile* key = launch.add_files();
  key->set_path("key");
  key->set_content("k");
  key->set_secret(true);
  const std::string handle = Create("a");
  Start(handle, launch);
  EXPECT_EQ(WaitForEnd(handle).exit_code(), 0);
  EXPECT_EQ(world_.Spooled("a", "stdout"),
            odd + "||an\nenv $value|hush|" + std::string("nul\0inside", 10) + "400\n");
  EXPECT_EQ(world_.Spooled("a", "stderr"), "");
}

TEST_F(LocalProviderTest, SecretIsInNoOtherProcessAndNoRecord) {
  const std::string canary = absl::StrCat("canary-5fd1c2-", getpid());
  pb::LaunchRequest launch = Launch("a");
  // One program from the attested start to its end: a shell that becomes another shows for a moment
  // neither arguments nor environment.
  for (const char* word : {"/bin/sleep", "1000"}) {
    launch.mutable_command()->mutable_argv()->add_args(word);
  }
  (*launch.mutable_secret_env())["TOKEN"] = canary;
  const std::string handle = Create("a");
  ASSERT_TRUE(Start(handle, launch).has_started());
  // The start is attested when the new program's descriptors are closed. The kernel shows its
  // arguments and environment, in this order, a moment later, and then until it ends.
  std::vector<std::string> holders;
  world_.RunUntil(
      [&] {
        holders = ProcessesWith("environ", canary);
        return !holders.empty();
      },
      20s);
  ASSERT_EQ(holders.size(), 1u) << "the command itself, and nobody else";
  EXPECT_EQ(ReadWholeFile("/proc/" + holders[0] + "/cmdline"),
            std::string("/bin/sleep\0001000\0", 16));
  EXPECT_TRUE(ProcessesWith("cmdline", canary).empty());
  for (const auto& entry : std::filesystem::recursive_directory_iterator(world_.directory())) {
    if (!entry.is_regular_file()) continue;
    EXPECT_EQ(ReadWholeFile(entry.path()).find(canary), std::string::npos) << entry.path();
  }
  EXPECT_EQ(handle.find(canary), std::string::npos);
}

TEST_F(LocalProviderTest, DescriptorsAreGivenBack) {
  const auto cycle = [&](int i) {
    const std::string handle = Create(absl::StrCat("d", i));
    Start(handle, Launch(absl::StrCat("d", i), {CommandKind::kExit, 0}));
    WaitForEnd(handle);
    EXPECT_TRUE(Await(world_.local().Destroy(handle, Deadline())).ok());
  };
  for (int i = 0; i < 3; ++i) cycle(i);
  const std::string launcher = std::to_string(world_.local().launcher()->pid);
  const size_t ours = OpenDescriptors("self");
  const size_t theirs = OpenDescriptors(launcher);
  for (int i = 3; i < 40; ++i) cycle(i);
  EXPECT_EQ(OpenDescriptors("self"), ours);
  EXPECT_LE(OpenDescriptors(launcher), theirs + 2);
}

TEST_F(LocalProviderTest, SandboxOfAnEarlierBootIsLostToTheReboot) {
  const std::string handle = LocalHandle{"0b00710d-0000-0000-0000-000000000000", "old"}.ToString();
  const auto view = Inspect(handle);
  ASSERT_TRUE(view.ok()) << view.status();
  EXPECT_EQ(view->state(), pb::SandboxView::ENDED);
  EXPECT_TRUE(view->exit().host_rebooted());
  EXPECT_TRUE(view->exit().lost());
  EXPECT_TRUE(view->exit().fence_confirmed());
  EXPECT_TRUE(Await(world_.local().Fence(handle, Deadline())).ok());
  EXPECT_TRUE(Await(world_.local().Signal(handle, {}, Deadline())).ok());
  EXPECT_TRUE(Start(handle, Launch("old", {CommandKind::kExit, 0})).error().proves_no_effect());
  EXPECT_TRUE(Await(world_.local().Destroy(handle, Deadline())).ok());
}

TEST_F(LocalProviderTest, HintCarriesTheExit) {
  std::shared_ptr<const pb::SandboxView> view;
  world_.local().OnHint([&](ProviderHint hint) {
    if (hint.sandbox_name == "a") view = hint.view;
  });
  const std::string handle = Create("a");
  Start(handle, Launch("a", {CommandKind::kRunBriefly, 12}));
  ASSERT_TRUE(world_.RunUntil([&] { return view != nullptr; }, 20s));
  EXPECT_EQ(view->state(), pb::SandboxView::ENDED);
  EXPECT_EQ(view->exit().exit_code(), 12);
  EXPECT_EQ(view->handle(), handle);
}

TEST_F(LocalProviderTest, ForeignHandlesAreRefused) {
  for (const std::string handle : {"", "docker1:abc", "local1:boot:../../etc"}) {
    EXPECT_EQ(Inspect(handle).status().code(), absl::StatusCode::kInvalidArgument) << handle;
    EXPECT_EQ(Await(world_.local().Destroy(handle, Deadline())).code(),
              absl::StatusCode::kInvalidArgument);
  }
}

TEST_F(LocalProviderTest, WarnsOfRootAndTellsTheLauncher) {
  const auto warnings = world_.local().warnings();
  const bool warned = std::any_of(warnings.begin(), warnings.end(), [](const std::string& w) {
    return w.find("root") != std::string::npos;
  });
  EXPECT_EQ(warned, geteuid() == 0);
  EXPECT_FALSE(world_.local().helper_version().empty());
  EXPECT_EQ(world_.local().tasks_survive_service_stop(),
            !world_.local().launcher()->shares_cgroup_with_peer);
}

TEST_F(LocalProviderTest, SpecKeysThatNeedIsolationAreNamed) {
  v1::SandboxSpec spec;
  spec.set_image("alpine");
  spec.set_disk_mb(1);
  spec.set_gpu("1");
  spec.set_network("none");
  spec.set_read_only_root(false);
  spec.set_workdir("relative");
  std::vector<std::string> fields;
  for (const auto& violation : world_.local().Validate(spec)) fields.push_back(violation.field);
  EXPECT_EQ(fields, (std::vector<std::string>{"image", "disk_mb", "gpu", "network",
                                              "read_only_root", "workdir"}));
}

}  // namespace
}  // namespace boxkeeper::providers::local
