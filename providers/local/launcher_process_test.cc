#include "providers/local/launcher_process.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <sstream>

#include "base/core/unique_fd.h"
#include "base/real_clock.h"

namespace boxkeeper::providers::local {
namespace {

// Programs are shell scripts that tell what they see through a pipe with a name.
class LauncherProcessTest : public ::testing::Test {
 protected:
  void SetUp() override {
    char path[] = "/tmp/bk-process-XXXXXX";
    ASSERT_NE(mkdtemp(path), nullptr);
    directory_ = path;
    ASSERT_EQ(mkfifo((directory_ + "/report").c_str(), 0600), 0);
  }
  void TearDown() override { std::filesystem::remove_all(directory_); }

  std::string Script(const std::string& body) {
    const std::string path = directory_ + "/boxlaunch";
    std::ofstream(path) << "#!/bin/sh\n" << body << "\n";
    chmod(path.c_str(), 0700);
    return path;
  }
  // Blocks until a script has written and closed its report.
  std::string Report() {
    std::ifstream file(directory_ + "/report");
    std::stringstream text;
    text << file.rdbuf();
    return text.str();
  }

  std::string directory_;
  std::unique_ptr<base::Clock> clock_ = base::MakeRealClock();
};

TEST_F(LauncherProcessTest, GivesNothingOfTheDaemonAway) {
  setenv("BK_CANARY", "canary-in-env", 1);
  const base::UniqueFd inherited(
      open((directory_ + "/canary-file").c_str(), O_CREAT | O_RDWR, 0600));
  sigset_t blocked;
  sigemptyset(&blocked);
  sigaddset(&blocked, SIGTERM);
  pthread_sigmask(SIG_BLOCK, &blocked, nullptr);
  LauncherProcess process(*clock_,
                          Script("{ echo \"args: $*\"; env; ls -l /proc/$$/fd; cat /proc/$$/stat | "
                                 "cut -d' ' -f1,6; grep SigBlk "
                                 "/proc/self/status; } > " +
                                 directory_ + "/report 2>&1"),
                          directory_);
  EXPECT_TRUE(process.Start().ok());
  const std::string report = Report();
  pthread_sigmask(SIG_UNBLOCK, &blocked, nullptr);
  unsetenv("BK_CANARY");
  EXPECT_NE(report.find("args: --state_dir " + directory_), std::string::npos) << report;
  EXPECT_EQ(report.find("canary"), std::string::npos) << report;
  EXPECT_NE(report.find("SigBlk:\t0000000000000000"), std::string::npos) << report;
  std::istringstream lines(report);
  bool leads_a_session = false;
  for (std::string line; std::getline(lines, line);) {
    std::istringstream words(line);
    long pid = 0;
    long session = -1;
    if (words >> pid >> session && words.eof()) leads_a_session = pid == session;
  }
  EXPECT_TRUE(leads_a_session) << report;
}

TEST_F(LauncherProcessTest, DoesNotStartASecondOneWhileTheFirstMayComeUp) {
  LauncherProcess process(
      *clock_, Script("echo $$ > " + directory_ + "/report; exec tail -f /dev/null"), directory_);
  EXPECT_TRUE(process.Start().ok());
  const pid_t pid = static_cast<pid_t>(std::stol(Report()));
  EXPECT_TRUE(process.Start().ok());
  // A second script would block in opening the pipe for ever, and show up as a child.
  const base::UniqueFd pipe(open((directory_ + "/report").c_str(), O_RDONLY | O_NONBLOCK));
  char byte = 0;
  EXPECT_EQ(read(pipe.get(), &byte, 1), 0);
  kill(pid, SIGKILL);
}

TEST_F(LauncherProcessTest, SaysSoWhenEveryOneEndsAtOnce) {
  LauncherProcess process(*clock_, Script("exit 3"), directory_);
  absl::Status status;
  const base::BootTime deadline = clock_->Boot() + std::chrono::seconds(10);
  while (status.ok() && clock_->Boot() < deadline) status = process.Start();
  EXPECT_NE(status.message().find("exited with 3"), std::string::npos) << status;
  EXPECT_NE(status.message().find("boxlaunch.log"), std::string::npos) << status;
}

TEST_F(LauncherProcessTest, ProgramThatCannotBeRunIsAnError) {
  LauncherProcess process(*clock_, directory_ + "/nosuch", directory_);
  EXPECT_EQ(process.Start().code(), absl::StatusCode::kUnavailable);
}

TEST_F(LauncherProcessTest, FlagWinsAndMustBeExecutable) {
  const std::string program = Script("true");
  EXPECT_EQ(*FindLauncher(program), program);
  chmod(program.c_str(), 0600);
  EXPECT_EQ(FindLauncher(program).status().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(FindLauncher(directory_).status().code(), absl::StatusCode::kNotFound);
}

}  // namespace
}  // namespace boxkeeper::providers::local
