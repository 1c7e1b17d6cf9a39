// Who may talk to a boxlaunch, and how long it stays.

#include "launcher/server.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <filesystem>
#include <random>

#include "launcher/testing/harness.h"

namespace boxkeeper::launcher {
namespace {

TEST(ServerTest, SaysWhoItIs) {
  Harness harness;
  harness.StartLauncher();
  const HelloReply& hello = harness.client().hello();
  EXPECT_EQ(hello.pid, static_cast<uint32_t>(harness.launcher_pid()));
  EXPECT_EQ(hello.protocol_version, kProtocolVersion);
  EXPECT_EQ(hello.launcher_version, kLauncherVersion);
  EXPECT_TRUE(hello.shares_cgroup_with_peer);
  const auto status = harness.client().Call<StatusReply>(StatusRequest{});
  EXPECT_EQ(status.clients, 1u);
  struct stat socket{};
  ASSERT_EQ(stat(SocketPath(harness.state_dir()).c_str(), &socket), 0);
  EXPECT_EQ(socket.st_mode & 0777, 0600u);
}

TEST(ServerTest, HelloComesFirstAndMustFit) {
  Harness harness;
  harness.StartLauncher();
  TestClient client(harness.state_dir(), /*hello=*/false);
  EXPECT_EQ(client.CallForError(StatusRequest{}).code, ErrorCode::kFailedPrecondition);
  EXPECT_EQ(client.CallForError(HelloRequest{1, "/", ""}).code, ErrorCode::kFailedPrecondition);
  EXPECT_EQ(client.CallForError(HelloRequest{1, harness.state_dir(), "another boot"}).code,
            ErrorCode::kFailedPrecondition);
  EXPECT_EQ(client.CallForError(HelloRequest{99, harness.state_dir(), ""}).code, ErrorCode::kOk);
  EXPECT_EQ(client.CallForError(StatusRequest{}).code, ErrorCode::kOk);
}

TEST(ServerTest, ANewerClientIsToldWhatIsNotKnown) {
  Harness harness;
  harness.StartLauncher();
  TestClient& client = harness.client();
  EXPECT_EQ(DecodeError(client.Exchange(4242, "", -1, true)).code, ErrorCode::kUnsupported);
  LaunchSpec spec = harness.Shell("i", "true");
  spec.isolation.kind = static_cast<IsolationKind>(7);
  const SandboxInfo info = harness.Run("i", spec);
  EXPECT_EQ(info.exit->kind, EndKind::kStartFailed);
}

TEST(ServerTest, GarbageClosesTheConnectionAndNothingElse) {
  Harness harness;
  harness.StartLauncher();
  harness.Run("kept", harness.Shell("kept", "sleep 1000"));
  std::mt19937 random(3);
  for (int round = 0; round < 50; ++round) {
    TestClient client(harness.state_dir(), round % 2 == 0);
    std::string noise(20 + random() % 200, '\0');
    for (char& c : noise) c = static_cast<char>(random());
    noise[3] = '\x7f';  // a length beyond the limit, so that the launcher need not wait for more
    client.Send(noise);
    client.WaitForClose();
  }
  EXPECT_EQ(harness.Inspect("kept").state, SandboxState::kRunning);
}

TEST(ServerTest, RefusesStartsWithoutAProperMemfd) {
  Harness harness;
  harness.StartLauncher();
  TestClient& client = harness.client();
  client.Call<CreateReply>(CreateRequest{"s", "n", ""});
  EXPECT_EQ(client.CallForError(StartRequest{"s", "e", false}).code, ErrorCode::kInvalid);
  EXPECT_EQ(client.CallForError(StartRequest{"s", "e"}, STDERR_FILENO).code, ErrorCode::kInvalid);
  EXPECT_EQ(client.CallForError(StartRequest{"none", "e"}).code, ErrorCode::kNotFound);
  EXPECT_EQ(client.CallForError(CreateRequest{"../x", "n", ""}).code, ErrorCode::kInvalid);
  EXPECT_EQ(harness.Inspect("s").state, SandboxState::kCreated);
}

TEST(ServerTest, OnlyOnePerStateDirectory) {
  Harness harness;
  harness.StartLauncher();
  harness.client();
  const pid_t first = harness.launcher_pid();
  harness.StartLauncher();
  const int status = harness.WaitForLauncher();
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0);
  EXPECT_FALSE(ProcessIsGone(first));
  EXPECT_EQ(harness.client().hello().pid, static_cast<uint32_t>(first));
}

TEST(ServerTest, LeavesWhenNobodyNeedsIt) {
  Harness harness;
  harness.StartLauncher({"--idle_exit", "2s"});
  harness.RunToEnd("a", harness.Shell("a", "true"));
  harness.Reconnect();
  EXPECT_TRUE(WIFEXITED(harness.WaitForLauncher()));
  EXPECT_FALSE(std::filesystem::exists(SocketPath(harness.state_dir())));
  harness.StartLauncher();
  EXPECT_EQ(harness.Inspect("a").exit->ExitCode(), 0);
}

TEST(ServerTest, StaysWhileATaskRuns) {
  Harness harness;
  harness.StartLauncher({"--idle_exit=2s"});
  const SandboxInfo info = harness.Run("a", harness.Shell("a", "sleep 1000"));
  harness.Reconnect();
  // The time that another one, which has no task, takes to leave.
  Harness idle;
  idle.StartLauncher({"--idle_exit=2s"});
  idle.WaitForLauncher();
  EXPECT_EQ(harness.client().hello().pid, static_cast<uint32_t>(harness.launcher_pid()));
  kill(static_cast<pid_t>(info.command_pid), SIGKILL);
  harness.WaitForEnd("a");
  harness.Reconnect();
  EXPECT_TRUE(WIFEXITED(harness.WaitForLauncher()));
}

TEST(ServerTest, TermLeavesTasksAlone) {
  Harness harness;
  harness.StartLauncher();
  const SandboxInfo info = harness.Run("a", harness.Shell("a", "sleep 1000"));
  kill(harness.launcher_pid(), SIGTERM);
  const int status = harness.WaitForLauncher();
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0);
  EXPECT_FALSE(ProcessIsGone(static_cast<pid_t>(info.command_pid)));
}

TEST(ServerTest, WorksBelowALongPath) {
  Harness harness("/" + std::string(100, 'a') + "/" + std::string(100, 'b'));
  harness.StartLauncher();
  EXPECT_EQ(harness.RunToEnd("a", harness.Shell("a", "exit 4")).ExitCode(), 4);
}

TEST(ServerTest, NothingIsLeftOpenInASupervisor) {
  if (geteuid() != 0) GTEST_SKIP() << "a supervisor hides from all but root";
  Harness harness;
  harness.StartLauncher();
  const SandboxInfo info = harness.Run("a", harness.Shell("a", "sleep 1000"));
  for (const auto& entry : std::filesystem::directory_iterator(
           "/proc/" + std::to_string(info.supervisor_pid) + "/fd")) {
    std::error_code closed_meanwhile;
    const std::string target = std::filesystem::read_symlink(entry, closed_meanwhile).string();
    EXPECT_EQ(target.find("launch/lock"), std::string::npos);
    EXPECT_FALSE(target.starts_with("socket:")) << target;
    EXPECT_EQ(target.find("launch-spec"), std::string::npos) << target;
  }
}

TEST(ServerTest, RefusesFlagsItDoesNotKnow) {
  EXPECT_EQ(WEXITSTATUS(system((LauncherBinary() + " --bogus 2> /dev/null").c_str())), 2);
  EXPECT_EQ(WEXITSTATUS(system((LauncherBinary() + " 2> /dev/null").c_str())), 2);
  EXPECT_EQ(WEXITSTATUS(system((LauncherBinary() + " --version > /dev/null").c_str())), 0);
}

}  // namespace
}  // namespace boxkeeper::launcher
