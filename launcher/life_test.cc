// Ends that are forced and processes that are killed, with a real boxlaunch.

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/stat.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <random>
#include <sstream>

#include "base/core/proc.h"
#include "base/testing/at_length.h"
#include "launcher/records.h"
#include "launcher/testing/harness.h"

namespace boxkeeper::launcher {
namespace {

using std::chrono::steady_clock;

class LifeTest : public ::testing::Test {
 protected:
  void SetUp() override { harness_.StartLauncher(); }

  // The pids that a script has written, one a line, to `name` in its working directory.
  std::vector<pid_t> Pids(const std::string& id, const std::string& name, size_t count) {
    std::vector<pid_t> pids;
    WaitUntil([&] {
      pids.clear();
      std::istringstream text(ReadFileOrEmpty(harness_.SandboxPath(id) + "/work/" + name));
      for (pid_t pid; text >> pid;) pids.push_back(pid);
      return pids.size() >= count;
    });
    return pids;
  }

  static void ExpectGone(const std::vector<pid_t>& pids) {
    for (const pid_t pid : pids) EXPECT_TRUE(ProcessIsGone(pid)) << pid;
  }

  Harness harness_;
};

// A command that ignores SIGTERM, with children in sessions of their own, one of them forked twice
// and with an environment that tells nothing.
constexpr char kStubborn[] =
    "trap '' TERM; echo $$ >> pids; "
    "setsid sh -c 'trap \"\" TERM; echo $$ >> pids; sleep 1000' & "
    "(env -i setsid sh -c 'trap \"\" TERM; echo $$ >> pids; while :; do sleep 1000; done' &) ; "
    "sleep 1000; sleep 1000";

TEST_F(LifeTest, TheRunTimeoutEndsACommand) {
  LaunchSpec spec = harness_.Shell("t", "sleep 1000");
  spec.run_timeout_ms = 100;
  const ExitRecord exit = harness_.RunToEnd("t", spec);
  EXPECT_TRUE(exit.timed_out);
  EXPECT_FALSE(exit.stop_requested);
  EXPECT_EQ(exit.Signal(), SIGTERM);
  EXPECT_GE(exit.ended_boot_ns - exit.started_boot_ns, 100'000'000u);
}

TEST_F(LifeTest, WhoIgnoresTermAndHidesIsGoneAfterTheGrace) {
  LaunchSpec spec = harness_.Shell("s", kStubborn);
  spec.run_timeout_ms = 500;
  spec.grace_ms = 300;
  const auto before = steady_clock::now();
  harness_.Run("s", spec);
  const auto pids = Pids("s", "pids", 3);
  const ExitRecord exit = harness_.WaitForEnd("s");
  EXPECT_LT(steady_clock::now() - before, std::chrono::milliseconds(5'800));
  EXPECT_TRUE(exit.timed_out);
  EXPECT_TRUE(exit.tree_fenced);
  EXPECT_EQ(exit.Signal(), SIGKILL);
  ExpectGone(pids);
}

TEST_F(LifeTest, WhatTheMainProcessLeavesBehindIsKilled) {
  LaunchSpec spec =
      harness_.Shell("left",
                     "(setsid sh -c 'trap \"\" TERM; echo $$ >> pids; sleep 1000' &); "
                     "while ! test -s pids; do sleep 0.01; done; exit 5");
  const ExitRecord exit = harness_.RunToEnd("left", spec);
  EXPECT_EQ(exit.ExitCode(), 5);
  EXPECT_TRUE(exit.leftovers_killed);
  EXPECT_TRUE(exit.tree_fenced);
  ExpectGone(Pids("left", "pids", 1));
}

TEST_F(LifeTest, ATreeOfHundredsIsGone) {
  LaunchSpec spec =
      harness_.Shell("bomb",
                     "cat > f <<'X'\nif [ $1 -gt 0 ]; then sh f $(($1-1)) & sh f $(($1-1)) & fi\n"
                     "echo $$ >> pids; sleep 1000\nX\nsh f 7");
  harness_.Run("bomb", spec);
  const auto pids = Pids("bomb", "pids", 255);
  harness_.client().Call<SignalReply>(SignalRequest{"bomb", SignalMode::kKill});
  EXPECT_TRUE(harness_.WaitForEnd("bomb").tree_fenced);
  ExpectGone(pids);
}

// Its pid changes all the time, so that a list of pids is always out of date.
TEST_F(LifeTest, AProcessThatForksAndLeavesForEverIsCaught) {
  LaunchSpec spec =
      harness_.Spec("hop", {.kind = CommandKind::kScript,
                            .argv = {},
                            .text = "import os\nwhile True:\n  if os.fork(): os._exit(0)\n"
                                    "  os.setsid()\n",
                            .lang = "python"});
  harness_.Run("hop", spec);
  EXPECT_EQ(harness_.WaitForEnd("hop").tree_fenced, true);
  EXPECT_EQ(harness_.Inspect("hop").exit->ExitCode(), 0);
}

TEST_F(LifeTest, StopGivesTheGraceAndKillDoesNot) {
  const std::string script =
      "trap 'echo term; exit 9' TERM; echo ready; while :; do sleep 0.01; done";
  for (const SignalMode mode : {SignalMode::kStop, SignalMode::kKill}) {
    const std::string id = mode == SignalMode::kStop ? "stop" : "kill";
    harness_.Run(id, harness_.Shell(id, script));
    WaitUntil([&] { return harness_.Stdout(id) == "ready\n"; });
    harness_.client().Call<SignalReply>(SignalRequest{id, mode, 0, 30'000});
    const ExitRecord exit = harness_.WaitForEnd(id);
    EXPECT_TRUE(exit.stop_requested);
    EXPECT_FALSE(exit.timed_out);
    if (mode == SignalMode::kStop) {
      EXPECT_EQ(exit.ExitCode(), 9);
      EXPECT_EQ(harness_.Stdout(id), "ready\nterm\n");
    } else {
      EXPECT_EQ(exit.Signal(), SIGKILL);
    }
  }
}

TEST_F(LifeTest, AStopReachesATreeThatIsStopped) {
  harness_.Run("z", harness_.Shell("z", "kill -STOP $$"));
  WaitUntil([&] { return base::ReadProcStat(harness_.Inspect("z").command_pid)->state == 'T'; });
  harness_.client().Call<SignalReply>(SignalRequest{"z", SignalMode::kStop, 0, 30'000});
  EXPECT_EQ(harness_.WaitForEnd("z").Signal(), SIGTERM);
}

TEST_F(LifeTest, ASignalReachesTheMainProcess) {
  harness_.Run("u",
               harness_.Shell("u", "trap 'exit 3' USR1; echo ready; while :; do sleep 0.01; done"));
  WaitUntil([&] { return harness_.Stdout("u") == "ready\n"; });
  harness_.client().Call<SignalReply>(SignalRequest{"u", SignalMode::kSend, SIGUSR1, 0});
  const ExitRecord exit = harness_.WaitForEnd("u");
  EXPECT_EQ(exit.ExitCode(), 3);
  EXPECT_FALSE(exit.stop_requested);
}

TEST_F(LifeTest, NoLauncherIsNeededWhileTasksRun) {
  LaunchSpec spec = harness_.Shell(
      "a", "echo $$ >> pids; while ! test -e go; do sleep 0.01; done; echo out; exit 6");
  harness_.Run("a", spec);
  harness_.Run("b", harness_.Shell("b", "sleep 1000"));
  Pids("a", "pids", 1);
  harness_.KillLauncher();
  // "a" ends while nobody is there.
  std::ofstream(harness_.SandboxPath("a") + "/work/go") << "";
  WaitUntil([&] { return std::filesystem::exists(harness_.SandboxPath("a") + "/exit"); });
  harness_.StartLauncher();
  const SandboxInfo a = harness_.Inspect("a");
  EXPECT_EQ(a.state, SandboxState::kEnded);
  EXPECT_EQ(a.exit->ExitCode(), 6);
  EXPECT_EQ(a.name, "name-a");
  EXPECT_EQ(a.labels, "labels");
  EXPECT_EQ(harness_.Stdout("a"), "out\n");
  // "b" is adopted: it can be signalled, and its end is told.
  WaitUntil([&] { return harness_.Inspect("b").state == SandboxState::kRunning; });
  const base::UniqueFd memfd = MakeSealedMemfd(EncodeLaunchSpec(spec));
  const auto again = harness_.client().Call<StartReply>(StartRequest{"a", "exec-a"}, memfd.get());
  EXPECT_TRUE(again.repeated);
  harness_.client().Call<SignalReply>(SignalRequest{"b", SignalMode::kStop, 0, 30'000});
  const SandboxInfo b = harness_.client().NextEvent(MessageType::kExitedEvent, "b");
  EXPECT_EQ(b.exit->Signal(), SIGTERM);
  EXPECT_TRUE(b.exit->stop_requested);
  EXPECT_EQ(Pids("a", "pids", 1).size(), 1u);
}

// Kills at any moment: whatever was answered stays true, and nothing runs twice.
TEST_F(LifeTest, RandomKillsOfTheLauncherLoseNothingAndRepeatNothing) {
  constexpr int kTasks = 60;
  std::mt19937 random(std::random_device{}());
  std::vector<LaunchSpec> specs;
  for (int i = 0; i < kTasks; ++i) {
    const std::string id = "t" + std::to_string(i);
    specs.push_back(harness_.Shell(id, "echo ran >> ../../../ran." + id + "; echo out; sleep 0.0" +
                                           std::to_string(i % 9) + "; exit " + std::to_string(i)));
  }
  const int rounds = base::AtLength(12, 5);
  for (int round = 0; round < rounds; ++round) {
    TestClient client(harness_.state_dir());
    for (int i = 0; i < kTasks; ++i) {
      const std::string id = "t" + std::to_string(i);
      client.Post(CreateRequest{id, id, ""});
      const base::UniqueFd memfd = MakeSealedMemfd(EncodeLaunchSpec(specs[i]));
      client.Post(StartRequest{id, "e"}, memfd.get());
    }
    client.AwaitReplies(random() % (2 * kTasks));
    harness_.KillLauncher();
    harness_.StartLauncher();
  }
  int lost = 0;
  for (int i = 0; i < kTasks; ++i) {
    const std::string id = "t" + std::to_string(i);
    harness_.client().Call<CreateReply>(CreateRequest{id, id, ""});
    const base::UniqueFd memfd = MakeSealedMemfd(EncodeLaunchSpec(specs[i]));
    harness_.client().Call<StartReply>(StartRequest{id, "e"}, memfd.get());
    const ExitRecord exit = harness_.WaitForEnd(id);
    const std::string ran = ReadFileOrEmpty(harness_.state_dir() + "/launch/ran." + id);
    if (exit.kind == EndKind::kSupervisorLost) {
      // Killed between the started record and the fork.
      ++lost;
      EXPECT_EQ(ran, "") << id;
      EXPECT_EQ(exit.user_code_started, UserCodeStarted::kUnknown) << id;
      continue;
    }
    EXPECT_EQ(exit.ExitCode(), i) << id << " " << exit.error;
    EXPECT_EQ(ran, "ran\n") << id;
    EXPECT_EQ(harness_.Stdout(id), "out\n") << id;
  }
  EXPECT_LE(lost, 12);
}

TEST_F(LifeTest, ALostSupervisorsTreeIsKilledBeforeItIsTold) {
  harness_.Run("n", harness_.Shell("n", "echo ok; sleep 1000"));
  const SandboxInfo info = harness_.Run("lost", harness_.Shell("lost", kStubborn));
  const auto pids = Pids("lost", "pids", 3);
  kill(static_cast<pid_t>(info.supervisor_pid), SIGKILL);
  const SandboxInfo end = harness_.client().NextEvent(MessageType::kExitedEvent, "lost");
  ExpectGone(pids);
  EXPECT_EQ(end.exit->kind, EndKind::kSupervisorLost);
  EXPECT_EQ(end.exit->ExitCode(), std::nullopt);
  EXPECT_TRUE(end.exit->tree_fenced);
  EXPECT_EQ(end.exit->user_code_started, UserCodeStarted::kYes);
  EXPECT_EQ(end.exit->attester, "launcher");
  EXPECT_EQ(harness_.client().CallForError(FenceRequest{"lost"}).code, ErrorCode::kOk);
  EXPECT_EQ(harness_.Inspect("n").state, SandboxState::kRunning);
  EXPECT_FALSE(ProcessIsGone(static_cast<pid_t>(harness_.Inspect("n").command_pid)));
}

TEST_F(LifeTest, WhereBothDiedTheFenceIsNotConfirmed) {
  const SandboxInfo info =
      harness_.Run("both", harness_.Shell("both",
                                          "(setsid sh -c 'echo $$ >> pids; sleep 1000' &); "
                                          "echo $$ >> pids; sleep 1000"));
  const auto pids = Pids("both", "pids", 2);
  kill(harness_.launcher_pid(), SIGSTOP);
  kill(static_cast<pid_t>(info.supervisor_pid), SIGKILL);
  harness_.KillLauncher();
  harness_.StartLauncher();
  const ExitRecord exit = harness_.WaitForEnd("both");
  EXPECT_EQ(exit.kind, EndKind::kSupervisorLost);
  EXPECT_FALSE(exit.tree_fenced);
  EXPECT_EQ(harness_.client().CallForError(FenceRequest{"both"}).code, ErrorCode::kUnconfirmed);
  // What could be recognised is killed all the same; nobody could wait for it.
  WaitUntil([&] { return ProcessIsGone(pids[0]) && ProcessIsGone(pids[1]); });
  const auto destroyed = harness_.client().Call<DestroyReply>(DestroyRequest{"both"});
  EXPECT_FALSE(destroyed.fenced);
  EXPECT_FALSE(destroyed.was_absent);
}

TEST_F(LifeTest, AnAdoptedSupervisorThatDiesIsNotConfirmedEither) {
  const SandboxInfo info = harness_.Run("ad", harness_.Shell("ad", "sleep 1000"));
  harness_.KillLauncher();
  harness_.StartLauncher();
  // Its pid record may have been on the way still.
  WaitUntil([&] { return harness_.Inspect("ad").state == SandboxState::kRunning; });
  kill(static_cast<pid_t>(info.supervisor_pid), SIGKILL);
  const SandboxInfo end = harness_.client().NextEvent(MessageType::kExitedEvent, "ad");
  EXPECT_EQ(end.exit->kind, EndKind::kSupervisorLost);
  EXPECT_FALSE(end.exit->tree_fenced);
  WaitUntil([&] { return ProcessIsGone(static_cast<pid_t>(info.command_pid)); });
}

TEST_F(LifeTest, AStoppedSupervisorIsWokenToKill) {
  const SandboxInfo info = harness_.Run("z", harness_.Shell("z", kStubborn));
  const auto pids = Pids("z", "pids", 3);
  kill(static_cast<pid_t>(info.supervisor_pid), SIGSTOP);
  EXPECT_TRUE(harness_.client().Call<FenceReply>(FenceRequest{"z"}).info->exit->tree_fenced);
  ExpectGone(pids);
}

TEST_F(LifeTest, ACommandThatStopsItsSupervisorAtOnceHasStarted) {
  harness_.Run("at_once", harness_.Shell("at_once", "kill -STOP $PPID; sleep 1000"));
  WaitUntil([&] { return harness_.Inspect("at_once").state == SandboxState::kRunning; });
  EXPECT_TRUE(harness_.client().Call<FenceReply>(FenceRequest{"at_once"}).info->exit->tree_fenced);
}

TEST_F(LifeTest, AStoppedLauncherHoldsNothingUp) {
  LaunchSpec spec =
      harness_.Shell("w", "while ! test -e go; do sleep 0.01; done; head -c 1000000 /dev/zero");
  harness_.Run("w", spec);
  kill(harness_.launcher_pid(), SIGSTOP);
  std::ofstream(harness_.SandboxPath("w") + "/work/go") << "";
  WaitUntil([&] { return std::filesystem::exists(harness_.SandboxPath("w") + "/exit"); });
  kill(harness_.launcher_pid(), SIGCONT);
  EXPECT_EQ(harness_.WaitForEnd("w").stdout_bytes, 1'000'000u);
}

TEST_F(LifeTest, StartRunsOnceHoweverOftenItIsAsked) {
  const LaunchSpec spec = harness_.Shell("once", "echo run >> ../../../ran; sleep 1000");
  harness_.client().Call<CreateReply>(CreateRequest{"once", "n", ""});
  const base::UniqueFd memfd = MakeSealedMemfd(EncodeLaunchSpec(spec));
  for (int i = 0; i < 20; ++i) harness_.client().Post(StartRequest{"once", "e1"}, memfd.get());
  const auto reply = harness_.client().Call<StartReply>(StartRequest{"once", "e1"}, memfd.get());
  EXPECT_TRUE(reply.repeated);
  EXPECT_EQ(reply.info.state, SandboxState::kRunning);
  EXPECT_EQ(harness_.client().CallForError(StartRequest{"once", "e2"}, memfd.get()).code,
            ErrorCode::kConflict);
  const std::string ran = harness_.state_dir() + "/launch/ran";
  WaitUntil([&] { return !ReadFileOrEmpty(ran).empty(); });
  harness_.client().Call<DestroyReply>(DestroyRequest{"once"});
  EXPECT_EQ(ReadFileOrEmpty(ran), "run\n");
}

TEST_F(LifeTest, CreateIsIdempotentAlsoAfterTheEnd) {
  TestClient& client = harness_.client();
  EXPECT_FALSE(client.Call<CreateReply>(CreateRequest{"c", "n", "l"}).already_exists);
  const auto again = client.Call<CreateReply>(CreateRequest{"c", "other", ""});
  EXPECT_TRUE(again.already_exists);
  EXPECT_EQ(again.info.name, "n");
  harness_.RunToEnd("c", harness_.Shell("c", "exit 1"));
  const auto ended = client.Call<CreateReply>(CreateRequest{"c", "n", "l"});
  EXPECT_TRUE(ended.already_exists);
  EXPECT_EQ(ended.info.state, SandboxState::kEnded);
}

TEST_F(LifeTest, DestroyKillsRemovesAndRepeats) {
  TestClient& client = harness_.client();
  harness_.Run(
      "d", harness_.Shell("d", std::string("for i in 1 2 3; do mkdir -p x/$i; : > x/$i/f; done; ") +
                                   kStubborn));
  const auto pids = Pids("d", "pids", 3);
  const auto first = client.Call<DestroyReply>(DestroyRequest{"d"});
  EXPECT_FALSE(first.was_absent);
  EXPECT_TRUE(first.fenced);
  ExpectGone(pids);
  EXPECT_FALSE(std::filesystem::exists(harness_.SandboxPath("d")));
  EXPECT_TRUE(client.Call<DestroyReply>(DestroyRequest{"d"}).was_absent);
  EXPECT_EQ(client.CallForError(InspectRequest{"d"}).code, ErrorCode::kNotFound);
  const std::string trash = harness_.state_dir() + "/launch/trash";
  WaitUntil([&] { return std::filesystem::is_empty(trash); });
}

TEST_F(LifeTest, WhoRemovesTheRecordsIsStillTold) {
  harness_.Run("own", harness_.Shell("own", "cd ..; rm -rf \"$PWD\"; exit 6"));
  EXPECT_EQ(harness_.WaitForEnd("own").ExitCode(), 6);
  const auto supervisor = static_cast<pid_t>(harness_.Inspect("own").supervisor_pid);
  EXPECT_TRUE(harness_.client().Call<DestroyReply>(DestroyRequest{"own"}).fenced);
  EXPECT_TRUE(WaitUntil([&] { return ProcessIsGone(supervisor); }));
}

// Directories are used again: nothing of the old sandbox may be seen in the new one.
TEST_F(LifeTest, ARecycledDirectoryIsAsIfNew) {
  TestClient& client = harness_.client();
  for (int round = 0; round < 30; ++round) {
    const std::string id = "round" + std::to_string(round);
    EXPECT_FALSE(client.Call<CreateReply>(CreateRequest{id, id, ""}).already_exists);
    LaunchSpec spec = harness_.Shell(id, "ls -A; stat -c %a .; exit " + std::to_string(round));
    // Ends that never started, and what a task leaves behind, come in between.
    if (round % 5 == 1) client.Call<FenceReply>(FenceRequest{id});
    if (round % 5 == 2) spec.command.text = "touch left ../left; chmod 777 .; " + spec.command.text;
    if (round % 5 != 1) {
      const ExitRecord exit = harness_.RunToEnd(id, spec);
      EXPECT_EQ(exit.ExitCode(), round);
      EXPECT_EQ(exit.exec_id, "exec-" + id);
      EXPECT_EQ(harness_.Stdout(id), round % 5 == 2 ? "left\n777\n" : "700\n");
    }
    client.Call<DestroyReply>(DestroyRequest{id});
    EXPECT_EQ(client.CallForError(InspectRequest{id}).code, ErrorCode::kNotFound);
  }
  harness_.KillLauncher();
  harness_.StartLauncher();
  EXPECT_TRUE(harness_.client().Call<ListReply>(ListRequest{}).sandboxes.empty());
}

TEST_F(LifeTest, WhatWasFencedNeverStarts) {
  TestClient& client = harness_.client();
  client.Call<CreateReply>(CreateRequest{"f", "n", ""});
  const auto fenced = client.Call<FenceReply>(FenceRequest{"f"});
  EXPECT_EQ(fenced.info->exit->kind, EndKind::kNeverStarted);
  EXPECT_EQ(fenced.info->exit->user_code_started, UserCodeStarted::kNo);
  const base::UniqueFd memfd = MakeSealedMemfd(EncodeLaunchSpec(harness_.Shell("f", "true")));
  EXPECT_EQ(client.CallForError(StartRequest{"f", "e"}, memfd.get()).code, ErrorCode::kConflict);
  harness_.KillLauncher();
  harness_.StartLauncher();
  EXPECT_EQ(harness_.client().CallForError(StartRequest{"f", "e"}, memfd.get()).code,
            ErrorCode::kConflict);
  EXPECT_TRUE(harness_.client().Call<FenceReply>(FenceRequest{"absent"}).was_absent);
}

TEST_F(LifeTest, FenceAnswersWhenNothingRunsAnyMore) {
  harness_.Run("f", harness_.Shell("f", kStubborn));
  const auto pids = Pids("f", "pids", 3);
  const auto fenced = harness_.client().Call<FenceReply>(FenceRequest{"f"});
  ExpectGone(pids);
  EXPECT_TRUE(fenced.info->exit->tree_fenced);
}

TEST_F(LifeTest, ListPagesThroughEverything) {
  TestClient& client = harness_.client();
  std::vector<std::string> ids;
  for (int i = 100; i < 200; ++i) {
    ids.push_back("id" + std::to_string(i));
    client.Call<CreateReply>(CreateRequest{ids.back(), "n", std::string(kLabelsBytesMax, 'l')});
  }
  for (const uint32_t limit : {0u, 7u}) {
    std::vector<std::string> seen;
    ListRequest request{"", limit};
    do {
      const auto page = client.Call<ListReply>(request);
      EXPECT_LE(page.sandboxes.size(), limit == 0 ? 100u : limit);
      for (const SandboxInfo& info : page.sandboxes) seen.push_back(info.id);
      request.cursor = page.next_cursor;
    } while (!request.cursor.empty());
    EXPECT_EQ(seen, ids);
  }
}

TEST_F(LifeTest, ARebootEndsWhatRan) {
  harness_.Run("r", harness_.Shell("r", "exit 0"));
  harness_.WaitForEnd("r");
  harness_.KillLauncher();
  const std::string before = "00000000-0000-0000-0000-000000000000";
  for (const std::string& id : {std::string("ran"), std::string("fresh")}) {
    const std::string path = harness_.SandboxPath(id);
    std::filesystem::create_directory(path);
    std::ofstream(path + "/boot") << EncodeRecord(BootRecord{id, "n", "l", before, 1});
    if (id == "ran")
      std::ofstream(path + "/started") << EncodeRecord(StartedRecord{"e", before, 1});
  }
  // After a power loss, files that were not synced may be empty.
  std::filesystem::create_directory(harness_.SandboxPath("torn"));
  std::ofstream(harness_.SandboxPath("torn") + "/boot") << "";
  std::ofstream(harness_.state_dir() + "/launch/boot_id") << before;
  harness_.StartLauncher();
  for (const char* id : {"ran", "fresh", "torn"}) {
    const SandboxInfo info = harness_.Inspect(id);
    EXPECT_EQ(info.state, SandboxState::kEnded) << id;
    EXPECT_EQ(info.exit->kind, EndKind::kHostRebooted) << id;
    EXPECT_EQ(info.exit->user_code_started, UserCodeStarted::kUnknown) << id;
  }
  EXPECT_EQ(harness_.Inspect("r").exit->ExitCode(), 0);
}

TEST_F(LifeTest, ADamagedRecordIsUnknownAndNeverAnEnd) {
  harness_.RunToEnd("x", harness_.Shell("x", "exit 0"));
  harness_.KillLauncher();
  const std::string path = harness_.SandboxPath("x") + "/exit";
  std::string bytes = ReadFileOrEmpty(path);
  bytes[20] ^= 1;
  std::ofstream(path, std::ios::binary) << bytes;
  harness_.StartLauncher();
  EXPECT_EQ(harness_.Inspect("x").state, SandboxState::kUnknown);
  EXPECT_EQ(harness_.client().CallForError(FenceRequest{"x"}).code, ErrorCode::kUnconfirmed);
  EXPECT_FALSE(harness_.client().Call<DestroyReply>(DestroyRequest{"x"}).was_absent);
}

// A pid record whose process is another one by now.
TEST_F(LifeTest, AReusedPidIsNeverSignalled) {
  harness_.Run("p", harness_.Shell("p", "sleep 1000"));
  const SandboxInfo stranger = harness_.Run("stranger", harness_.Shell("stranger", "sleep 1000"));
  harness_.KillLauncher();
  PidRecord record;
  const std::string path = harness_.SandboxPath("p") + "/pid";
  WaitUntil([&] { return DecodeRecord(ReadFileOrEmpty(path), &record); });
  kill(static_cast<pid_t>(record.supervisor_pid), SIGKILL);
  record.supervisor_pid = stranger.supervisor_pid;
  record.command_pid = stranger.command_pid;
  std::ofstream(path, std::ios::binary) << EncodeRecord(record);
  harness_.StartLauncher();
  EXPECT_EQ(harness_.WaitForEnd("p").kind, EndKind::kSupervisorLost);
  WaitUntil([&] { return harness_.Inspect("stranger").state == SandboxState::kRunning; });
  EXPECT_FALSE(ProcessIsGone(static_cast<pid_t>(stranger.command_pid)));
}

}  // namespace
}  // namespace boxkeeper::launcher
