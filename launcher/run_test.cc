// What a command sees and how its end is told, with a real boxlaunch.

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/stat.h>

#include <algorithm>
#include <filesystem>
#include <set>

#include "base/core/proc.h"
#include "base/core/spool_format.h"
#include "base/core/unique_fd.h"
#include "launcher/testing/harness.h"

namespace boxkeeper::launcher {
namespace {

class RunTest : public ::testing::Test {
 protected:
  void SetUp() override { harness_.StartLauncher(); }
  Harness harness_;
};

Command Argv(std::vector<std::string> argv) {
  return {.kind = CommandKind::kArgv, .argv = std::move(argv), .text = {}, .lang = {}};
}

TEST_F(RunTest, ExitCodesAreAttested) {
  for (const int code : {0, 7, 137}) {
    const std::string id = "exit" + std::to_string(code);
    const ExitRecord exit =
        harness_.RunToEnd(id, harness_.Shell(id, "exit " + std::to_string(code)));
    EXPECT_EQ(exit.kind, EndKind::kExited);
    EXPECT_EQ(exit.ExitCode(), code);
    EXPECT_EQ(exit.Signal(), std::nullopt);
    EXPECT_EQ(exit.user_code_started, UserCodeStarted::kYes);
    EXPECT_EQ(exit.attester, "supervisor");
    EXPECT_TRUE(exit.tree_fenced);
    EXPECT_FALSE(exit.timed_out);
    EXPECT_FALSE(exit.stop_requested);
    EXPECT_GT(exit.peak_rss_bytes, 0u);
    EXPECT_GE(exit.ended_boot_ns, exit.started_boot_ns);
    EXPECT_EQ(exit.boot_id, base::BootId());
  }
}

TEST_F(RunTest, ASignalIsNotAnExitCode) {
  const ExitRecord exit = harness_.RunToEnd("k", harness_.Shell("k", "kill -9 $$"));
  EXPECT_EQ(exit.Signal(), SIGKILL);
  EXPECT_EQ(exit.ExitCode(), std::nullopt);
}

TEST_F(RunTest, ArgumentsArriveByteForByte) {
  std::vector<std::string> arguments = {"",
                                        "a b",
                                        "new\nline",
                                        "$HOME `x` \"'\\",
                                        "\xff\xfe",
                                        "\u00fcn\u00efc\u00f6de",
                                        std::string(100 * 1024, 'x'),
                                        ""};
  std::vector<std::string> argv = {"printf", "%s\\0"};
  argv.insert(argv.end(), arguments.begin(), arguments.end());
  std::string expected;
  for (const std::string& argument : arguments) expected += argument + '\0';
  EXPECT_EQ(harness_.RunToEnd("argv", harness_.Spec("argv", Argv(argv))).ExitCode(), 0);
  EXPECT_EQ(harness_.Stdout("argv"), expected);
}

std::set<std::string> Entries(const std::string& text) {
  std::set<std::string> entries;
  for (size_t at = 0; at < text.size();) {
    const size_t end = text.find('\0', at);
    entries.insert(text.substr(at, end - at));
    at = end == std::string::npos ? text.size() : end + 1;
  }
  return entries;
}

TEST_F(RunTest, TheEnvironmentIsTheDocumentedOneAndTheTasks) {
  LaunchSpec spec = harness_.Spec("env", Argv({"cat", "/proc/self/environ"}));
  spec.env = {{"EMPTY", ""},
              {"LINES", "a\nb"},
              {"BIG", std::string(100 * 1024, 'y')},
              {"LANG", "C"},
              {"BOXKEEPER_SANDBOX", "forged"}};
  spec.secret_env = {{"TOKEN", "\xff$'\""}};
  EXPECT_EQ(harness_.RunToEnd("env", spec).ExitCode(), 0);
  const std::set<std::string> entries = Entries(harness_.Stdout("env"));
  std::set<std::string> names;
  for (const std::string& entry : entries) names.insert(entry.substr(0, entry.find('=')));
  EXPECT_EQ(names, (std::set<std::string>{"PATH", "HOME", "USER", "LOGNAME", "LANG", "EMPTY",
                                          "LINES", "BIG", "TOKEN", "BOXKEEPER_SANDBOX"}));
  for (const std::string& wanted :
       {std::string("EMPTY="), std::string("LINES=a\nb"), "BIG=" + std::string(100 * 1024, 'y'),
        std::string("LANG=C"), std::string("TOKEN=\xff$'\""),
        std::string("BOXKEEPER_SANDBOX=env")}) {
    EXPECT_TRUE(entries.contains(wanted)) << wanted.substr(0, 40);
  }
}

TEST_F(RunTest, NothingElseIsInherited) {
  const ExitRecord exit = harness_.RunToEnd(
      "clean",
      harness_.Spec("clean", Argv({"sh", "-c",
                                   "ls /proc/$$/fd; readlink /proc/$$/fd/0; umask; "
                                   "grep -E '^Sig(Blk|Ign)' /proc/self/status; "
                                   "cut -d' ' -f5,6 /proc/$$/stat; echo $$; pwd; ulimit -c"})));
  EXPECT_EQ(exit.ExitCode(), 0);
  const uint32_t pid = harness_.Inspect("clean").command_pid;
  const std::string number = std::to_string(pid);
  const std::string text = harness_.Stdout("clean");
  // dash keeps no descriptor of its own but 10, for a script; with -c it has none.
  EXPECT_TRUE(
      text.starts_with("0\n1\n2\n/dev/null\n0022\nSigBlk:\t0000000000000000\n"
                       "SigIgn:\t0000000000000000\n"))
      << text;
  EXPECT_NE(text.find(number + " " + number + "\n" + number + "\n" + harness_.SandboxPath("clean") +
                      "/work\n"),
            std::string::npos)
      << text;
}

TEST_F(RunTest, FilesStandBeforeTheCommandAndSecretOnesGoAfterIt) {
  LaunchSpec spec = harness_.Shell(
      "files", "cat in/a; stat -c %a in/a; cat key; stat -c %a key; stat -c %a run; ./run; ls");
  const std::string secret = "canary-73af";
  spec.files = {{"in/a", 0640, std::string("\0x", 2), false},
                {"key", 0666, secret, true},
                {"run", 0755, "#!/bin/sh\necho ran\n", false}};
  EXPECT_EQ(harness_.RunToEnd("files", spec).ExitCode(), 0);
  EXPECT_EQ(harness_.Stdout("files"),
            std::string("\0x", 2) + "640\n" + secret + "400\n755\nran\nin\nkey\nrun\n");
  EXPECT_NE(ReadFileOrEmpty(harness_.SandboxPath("files") + "/work/run"), "");
  struct stat status{};
  EXPECT_NE(stat((harness_.SandboxPath("files") + "/work/key").c_str(), &status), 0);
}

TEST_F(RunTest, ScriptsRunByTheirInterpreter) {
  const auto script = [&](const std::string& id, const std::string& lang, const std::string& body) {
    return harness_.RunToEnd(
        id,
        harness_.Spec(id, {.kind = CommandKind::kScript, .argv = {}, .text = body, .lang = lang}));
  };
  EXPECT_EQ(script("sh", "sh", "echo sh; exit 3").ExitCode(), 3);
  EXPECT_EQ(harness_.Stdout("sh"), "sh\n");
  EXPECT_EQ(script("bash", "bash", "a=(1 2); echo ${#a[@]}").ExitCode(), 0);
  EXPECT_EQ(harness_.Stdout("bash"), "2\n");
  EXPECT_EQ(script("py", "python", "import sys\nprint('py')\nsys.exit(4)\n").ExitCode(), 4);
  EXPECT_EQ(harness_.Stdout("py"), "py\n");
}

TEST_F(RunTest, AStartThatFailsIsNotAnExit) {
  const ExitRecord missing =
      harness_.RunToEnd("missing", harness_.Spec("missing", Argv({"no-such-program"})));
  EXPECT_EQ(missing.kind, EndKind::kStartFailed);
  EXPECT_EQ(missing.ExitCode(), std::nullopt);
  EXPECT_EQ(missing.user_code_started, UserCodeStarted::kNo);
  EXPECT_EQ(missing.error, "exec 'no-such-program': No such file or directory");

  LaunchSpec workdir = harness_.Shell("workdir", "true");
  workdir.workdir = "/no/such/place";
  EXPECT_EQ(harness_.RunToEnd("workdir", workdir).kind, EndKind::kStartFailed);

  LaunchSpec user = harness_.Shell("user", "true");
  user.user = "no-such-user";
  EXPECT_EQ(harness_.RunToEnd("user", user).kind, EndKind::kStartFailed);

  LaunchSpec wrong = harness_.Spec("wrong", Argv({}));
  EXPECT_EQ(harness_.RunToEnd("wrong", wrong).error, "argv: empty");
  EXPECT_EQ(harness_.RunToEnd("denied", harness_.Spec("denied", Argv({"/etc/passwd"}))).error,
            "exec '/etc/passwd': Permission denied");
}

TEST_F(RunTest, OutputIsExactAndIndexed) {
  LaunchSpec spec =
      harness_.Shell("out", "printf 'a\\000\\377b'; printf err >&2; head -c 3000000 /dev/zero");
  const ExitRecord exit = harness_.RunToEnd("out", spec);
  const std::string out = harness_.Stdout("out");
  EXPECT_EQ(out, std::string("a\0\xff"
                             "b",
                             4) +
                     std::string(3'000'000, '\0'));
  EXPECT_EQ(harness_.Stderr("out"), "err");
  EXPECT_EQ(exit.stdout_bytes, out.size());
  EXPECT_EQ(exit.stderr_bytes, 3u);
  const std::string index = ReadFileOrEmpty(spec.index_path);
  ASSERT_EQ(index.size() % base::kIndexRecordBytes, 0u);
  uint64_t ends[2] = {0, 0}, last_arrival = 0;
  for (size_t at = 0; at < index.size(); at += base::kIndexRecordBytes) {
    const auto record = base::ParseIndexRecord(std::string_view(index).substr(at));
    ASSERT_TRUE(record);
    uint64_t& end = ends[record->stream == base::SpoolStream::kStdout ? 0 : 1];
    EXPECT_EQ(record->offset, end);
    end += record->length;
    EXPECT_GE(record->arrival_unix_ms, last_arrival);
    last_arrival = record->arrival_unix_ms;
  }
  EXPECT_EQ(ends[0], out.size());
  EXPECT_EQ(ends[1], 3u);
}

TEST_F(RunTest, TheMiddleIsDroppedAboveTheLimit) {
  constexpr uint64_t kLimit = 1 << 20;
  LaunchSpec spec = harness_.Shell(
      "drop", "i=0; while [ $i -lt 400000 ]; do echo $i; i=$((i+1)); done; echo small >&2");
  spec.log_bytes_max = kLimit;
  const ExitRecord exit = harness_.RunToEnd("drop", spec);
  const std::string out = harness_.Stdout("drop");
  ASSERT_EQ(exit.stdout_bytes, out.size());
  EXPECT_EQ(exit.stderr_dropped_bytes, 0u);
  const auto drop = base::ParseDropRecord(ReadFileOrEmpty(spec.stdout_path + ".drop"));
  ASSERT_TRUE(drop);
  EXPECT_EQ(drop->to - drop->from, exit.stdout_dropped_bytes);
  EXPECT_EQ(drop->from, kLimit / 4);
  EXPECT_GE(out.size() - drop->to, kLimit / 4);
  EXPECT_LE(out.size() - exit.stdout_dropped_bytes, kLimit + (1 << 18));
  std::string expected;
  for (int i = 0; i < 400'000; ++i) expected += std::to_string(i) + "\n";
  EXPECT_EQ(out.substr(0, drop->from), expected.substr(0, drop->from));
  EXPECT_EQ(out.substr(drop->from, drop->to - drop->from),
            std::string(drop->to - drop->from, '\0'));
  EXPECT_EQ(out.substr(drop->to), expected.substr(drop->to));
  struct stat status{};
  ASSERT_EQ(stat(spec.stdout_path.c_str(), &status), 0);
  EXPECT_LE(static_cast<uint64_t>(status.st_blocks) * 512, 2 * kLimit);
}

TEST_F(RunTest, BlockWaitsForSpaceAndTheRunTimeoutStillCounts) {
  LaunchSpec spec = harness_.Shell("block", "head -c 4000000 /dev/zero; echo done >&2");
  spec.log_bytes_max = 1 << 20;
  spec.overflow = OverflowPolicy::kBlock;
  spec.run_timeout_ms = 1'000;
  const ExitRecord exit = harness_.RunToEnd("block", spec);
  EXPECT_TRUE(exit.timed_out);
  EXPECT_EQ(exit.stderr_bytes, 0u);
  EXPECT_GE(exit.stdout_bytes, 1u << 20);
  EXPECT_LT(exit.stdout_bytes, (1u << 20) + (1u << 19));
}

TEST_F(RunTest, BlockGoesOnWhenTheSpoolHasBeenStoredElsewhere) {
  LaunchSpec spec = harness_.Shell("resume", "head -c 3000000 /dev/zero | tr '\\0' x");
  spec.log_bytes_max = 1 << 20;
  spec.overflow = OverflowPolicy::kBlock;
  harness_.Run("resume", spec);
  const auto allocated = [&] {
    struct stat status{};
    stat(spec.stdout_path.c_str(), &status);
    return status.st_blocks * 512;
  };
  WaitUntil([&] { return std::filesystem::exists(spec.stdout_path); });
  const base::UniqueFd file(open(spec.stdout_path.c_str(), O_WRONLY | O_CLOEXEC));
  SandboxInfo info;
  // Whoever stores the output makes room, again and again.
  WaitUntil([&] {
    if (allocated() >= 1 << 20) {
      fallocate(file.get(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 3'000'000);
    }
    info = harness_.Inspect("resume");
    return info.state == SandboxState::kEnded;
  });
  EXPECT_EQ(info.exit->ExitCode(), 0);
  EXPECT_EQ(info.exit->stdout_bytes, 3'000'000u);
  EXPECT_EQ(info.exit->stdout_dropped_bytes, 0u);
}

TEST_F(RunTest, OutputThatCannotBeWrittenHoldsTheEndOnlySoLong) {
  LaunchSpec spec = harness_.Shell("full", "echo lost; echo kept >&2; exit 2");
  spec.stdout_path = "/dev/full";
  spec.final_drain_ms = 100;
  const ExitRecord exit = harness_.RunToEnd("full", spec);
  EXPECT_EQ(exit.ExitCode(), 2);
  EXPECT_EQ(exit.stdout_bytes, 0u);
  EXPECT_EQ(harness_.Stderr("full"), "kept\n");
  EXPECT_NE(exit.error.find("output was lost"), std::string::npos) << exit.error;
}

// The most that any process of the sandbox's supervisor has had resident.
uint64_t PeakRssKib(uint32_t pid) {
  const std::string status = ReadFileOrEmpty("/proc/" + std::to_string(pid) + "/status");
  const size_t at = status.find("VmHWM:");
  return at == std::string::npos ? 0 : std::stoull(status.substr(at + 6));
}

TEST_F(RunTest, MemoryIsFlatWhateverTheOutput) {
  constexpr uint64_t kBytes = 512ull << 20;
  LaunchSpec spec = harness_.Shell(
      "big", "head -c " + std::to_string(kBytes) + " /dev/zero; mkfifo gate; : > gate");
  spec.log_bytes_max = 8 << 20;
  const SandboxInfo info = harness_.Run("big", spec);
  const uint64_t at_start = PeakRssKib(info.supervisor_pid);
  const auto written = [&] {
    struct stat status{};
    return stat(spec.stdout_path.c_str(), &status) == 0 &&
           static_cast<uint64_t>(status.st_size) == kBytes;
  };
  ASSERT_TRUE(WaitUntil(written));
  EXPECT_LT(PeakRssKib(info.supervisor_pid), at_start + 4 * 1024u);
  harness_.client().Call<SignalReply>(SignalRequest{"big", SignalMode::kKill});
  EXPECT_EQ(harness_.WaitForEnd("big").stdout_bytes, kBytes);
}

TEST_F(RunTest, SecretsAreInNoOtherPlace) {
  const std::string canary = "canary-1f0e9d";
  LaunchSpec spec = harness_.Shell("secret", "test -n \"$S\"; ulimit -c; kill -SEGV $$");
  spec.secret_env = {{"S", canary}};
  const ExitRecord exit = harness_.RunToEnd("secret", spec);
  EXPECT_EQ(exit.Signal(), SIGSEGV);
  EXPECT_EQ(WCOREDUMP(exit.wait_status), 0);
  const std::string grep = "! grep -r " + canary + " " + harness_.state_dir();
  EXPECT_EQ(system(grep.c_str()), 0);
}

}  // namespace
}  // namespace boxkeeper::launcher
