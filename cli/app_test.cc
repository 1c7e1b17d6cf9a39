#include "cli/app.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <sstream>

#include "cli/testing/fake_console.h"
#include "cli/testing/fake_server.h"
#include "cli/testing/samples.h"

namespace boxkeeper::cli {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

// A file of the source tree: Bazel runs tests in their runfiles.
std::string SourceFile(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  std::ostringstream content;
  content << in.rdbuf();
  return content.str();
}

class AppTest : public ::testing::Test {
 protected:
  AppTest() {
    server_.AddTask(QueuedTask());
    server_.AddTask(EndedTask());
    server_.status = SampleStatus();
    server_.providers = SampleProviders();
    server_.sandboxes = SampleSandboxes();
    server_.orphans = SampleOrphans();
    server_.events = SampleEvents();
  }

  struct Result {
    int code;
    std::string out, err;
  };
  Result Run(std::vector<std::string> args, const std::string& input = "") {
    FakeConsole console;
    console.input = input;
    console.environment["BOXKEEPER_SERVER"] = server_.address();
    const int code = RunBoxctl(args, console.console);
    return {code, console.out(), console.err()};
  }

  FakeServer server_;
  const std::string ended_ = EndedTask().id();
  const std::string queued_ = QueuedTask().id();
};

// Scripts rely on these: a change here is a change of the interface. docs/cli.md refers to them.
// UPDATE_GOLDEN=<the source's cli/testdata> bazel-bin/cli/app_test writes them anew.
struct GoldenCase {
  const char* file;
  std::vector<std::string> args;

  friend void PrintTo(const GoldenCase& golden, std::ostream* out) { *out << golden.file; }
};

class GoldenTest : public AppTest, public ::testing::WithParamInterface<GoldenCase> {};

TEST_P(GoldenTest, OutputIsAsWritten) {
  Result result = Run(GetParam().args);
  if (const char* folder = std::getenv("UPDATE_GOLDEN")) {
    std::ofstream(std::string(folder) + "/" + GetParam().file) << result.out;
    return;
  }
  EXPECT_EQ(result.out, SourceFile(std::string("cli/testdata/") + GetParam().file));
  EXPECT_EQ(result.err, "");
}

INSTANTIATE_TEST_SUITE_P(
    Forms, GoldenTest,
    ::testing::Values(
        GoldenCase{"ls.json", {"ls", "-o", "json"}}, GoldenCase{"ls.jsonl", {"ls", "-o", "jsonl"}},
        GoldenCase{"ls.name", {"ls", "-o", "name"}}, GoldenCase{"ls.table", {"ls"}},
        GoldenCase{"ls.wide", {"ls", "-o", "wide"}},
        GoldenCase{"get.json", {"get", "-o", "json", "aaaaaaaaaaaaaaaaaaaaaaaaaa"}},
        GoldenCase{"get.yaml", {"get", "-o", "yaml", "aaaaaaaaaaaaaaaaaaaaaaaaaa"}},
        GoldenCase{"describe.txt", {"describe", "aaaaaaaaaaaaaaaaaaaaaaaaaa"}},
        GoldenCase{"status.json", {"status", "-o", "json"}}, GoldenCase{"status.txt", {"status"}},
        GoldenCase{"providers.json", {"providers", "-o", "json"}},
        GoldenCase{"providers.table", {"providers"}},
        GoldenCase{"sandboxes.json", {"sandboxes", "-o", "json"}},
        GoldenCase{"sandboxes.table", {"sandboxes"}},
        GoldenCase{"orphans.json", {"orphans", "-o", "json"}},
        GoldenCase{"orphans.wide", {"orphans", "-o", "wide"}}, GoldenCase{"reap.table", {"reap"}},
        GoldenCase{"events.json", {"events", "-o", "json"}},
        GoldenCase{"events.jsonl", {"events", "-o", "jsonl"}},
        GoldenCase{"events.table", {"events"}},
        GoldenCase{
            "cancel.json",
            {"cancel", "-o", "json", "qqqqqqqqqqqqqqqqqqqqqqqqqq", "aaaaaaaaaaaaaaaaaaaaaaaaaa"}},
        GoldenCase{"drain.json", {"drain", "-o", "json"}}, GoldenCase{"reload.txt", {"reload"}}),
    [](const auto& info) {
      std::string name = info.param.file;
      name[name.find('.')] = '_';
      return name;
    });

TEST_F(AppTest, SubmitPrintsTheId) {
  Result result =
      Run({"submit", "-l", "a=b", "-e", "X=1", "--key", "/TASK/g/r/n/-1/1", "--", "-x", "--"});
  EXPECT_EQ(result.code, 0) << result.err;
  EXPECT_EQ(result.out, "task-3\n");
  v1::TaskSpec spec = server_.submits()[0].tasks(0);
  EXPECT_EQ(spec.key().kind(), v1::TaskKey::TASK);
  EXPECT_EQ(spec.command().argv().args_size(), 2);
  EXPECT_EQ(spec.command().argv().args(1), "--");
  EXPECT_EQ(spec.labels().at("a"), "b");
  result = Run({"submit", "-o", "json", "--shell", "exit 1"});
  EXPECT_THAT(result.out, HasSubstr("\"outcome\": \"ACCEPTED\""));
  result = Run({"submit", "-"}, "echo hi");
  EXPECT_EQ(server_.submits()[2].tasks(0).command().script().body(), "echo hi");
}

TEST_F(AppTest, DryRunPrintsTheMergedSpec) {
  server_.on_submit = [](const v1::TaskSpec&) {
    v1::SubmitResult result;
    result.set_outcome(v1::SubmitResult::ACCEPTED);
    result.mutable_spec()->add_provider("local");
    result.mutable_spec()->mutable_timeout()->set_seconds(90);
    return result;
  };
  Result result = Run({"run", "--dry-run", "--", "true"});
  EXPECT_EQ(result.out, "Provider:  local\nTimeout:   1m30s\n");
  EXPECT_TRUE(server_.submits()[0].validate_only());
  EXPECT_THAT(Run({"run", "--dry-run", "-o", "json", "--", "true"}).out,
              HasSubstr("\"timeout\": \"90s\""));
}

TEST_F(AppTest, TasksAreNamedByIdOrKey) {
  EXPECT_EQ(Run({"get", "-o", "name", "prod/TASK/sales/2026-01-02/extract/-1/2"}).out,
            ended_ + "\n");
  Result result = Run({"get", "nope"});
  EXPECT_EQ(result.code, 125);
  EXPECT_EQ(result.err, "boxctl: NOT_FOUND/TASK_NOT_FOUND: no such task\n");
}

TEST_F(AppTest, LsPagesAndFilters) {
  Result result = Run({"ls", "--limit", "1", "-o", "json"});
  EXPECT_THAT(result.out, HasSubstr("\"next_page_token\": \"1\""));
  EXPECT_EQ(Run({"ls", "--limit", "1", "--page-token", "1", "-o", "name"}).out, ended_ + "\n");
  EXPECT_EQ(Run({"ls", "--state", "live", "-o", "name"}).out, queued_ + "\n");
  EXPECT_EQ(Run({"ls", "--state", "failed,lost", "-o", "name"}).out, ended_ + "\n");
  EXPECT_EQ(Run({"ls", "--state", "asleep"}).code, 2);
}

TEST_F(AppTest, WaitAnswersByItsExitCode) {
  EXPECT_EQ(Run({"wait", ended_}).code, 1);
  EXPECT_EQ(Run({"wait", "--timeout", "20ms", ended_, queued_}).code, 124);
  EXPECT_EQ(Run({"wait", "--timeout", "soon", queued_}).code, 2);
  server_.End(queued_, v1::TASK_STATE_SUCCEEDED, v1::REASON_EXIT_CODE, 0);
  Result result = Run({"wait", "-o", "jsonl", queued_});
  EXPECT_EQ(result.code, 0);
  EXPECT_THAT(result.out, HasSubstr("\"state\":\"SUCCEEDED\""));
  EXPECT_EQ(Run({"wait", "nope"}).code, 125);
}

TEST_F(AppTest, LogsByStreamOffsetAndTail) {
  server_.Print(ended_, v1::ReadLogRequest::STDOUT, "one\ntwo\nthree\n");
  server_.Print(ended_, v1::ReadLogRequest::STDERR, "bad\n");
  Result both = Run({"logs", ended_});
  EXPECT_EQ(both.out, "one\ntwo\nthree\n");
  EXPECT_EQ(both.err, "bad\n");
  EXPECT_EQ(Run({"logs", "-f", ended_}).out, "one\ntwo\nthree\n");
  EXPECT_EQ(Run({"logs", "--stream", "stderr", ended_}).out, "bad\n");
  EXPECT_EQ(Run({"logs", "--offset", "8", ended_}).out, "three\n");
  EXPECT_EQ(Run({"logs", "--stream", "stdout", "--tail", "2", ended_}).out, "two\nthree\n");
  EXPECT_EQ(Run({"logs", "--tail", "2", "--offset", "1", ended_}).code, 2);
  EXPECT_EQ(Run({"logs", "nope"}).code, 125);
}

TEST_F(AppTest, EventsResumeAfterACut) {
  FakeConsole console;
  auto write = console.console.out;
  // Nobody reads any more after the second event: that ends a followed stream.
  console.console.out = [&](std::string_view data) {
    return write(data) && console.out().find("c2") == std::string::npos;
  };
  EXPECT_EQ(
      RunBoxctl({"--server", server_.address(), "events", "-f", "-o", "name"}, console.console), 0);
  EXPECT_EQ(console.out(), "c1\nc2\n");
  EXPECT_EQ(Run({"events", "--after", "c1", "-o", "name"}).out, "c2\n");
  Result gone = Run({"events", "--after", "zz"});
  EXPECT_EQ(gone.code, 125);
  EXPECT_THAT(gone.err, HasSubstr("boxctl: OUT_OF_RANGE/CURSOR_GONE"));
}

TEST_F(AppTest, CancelAndAbandon) {
  Result result = Run({"cancel", "--force", "--grace", "2s", "--reason", "why", queued_, "nope"});
  EXPECT_EQ(result.code, 1);
  EXPECT_THAT(result.out, HasSubstr("NOT_FOUND"));
  v1::CancelTasksRequest request = server_.cancels()[0];
  EXPECT_TRUE(request.force());
  EXPECT_EQ(request.grace().seconds(), 2);
  EXPECT_EQ(request.reason(), "why");
  EXPECT_EQ(Run({"cancel"}).code, 2);
  EXPECT_EQ(Run({"cancel", "--owner", "o"}).code, 0);
  EXPECT_EQ(server_.cancels()[1].filter().owner(), "o");
  EXPECT_THAT(Run({"abandon", queued_}).out, HasSubstr("LOST"));
}

TEST_F(AppTest, TokensAreSentAndTheirLackExplained) {
  server_.expected_token = "s3cret";
  Result denied = Run({"ls"});
  EXPECT_EQ(denied.code, 125);
  EXPECT_EQ(denied.err, "boxctl: UNAUTHENTICATED/BAD_TOKEN: no or wrong token\n");
  const std::string path = std::string(std::getenv("TEST_TMPDIR")) + "/token";
  std::ofstream(path) << "s3cret\n";
  EXPECT_EQ(Run({"--token-file", path, "ls"}).code, 0);
  Result refused = Run({"--token-file", path, "--server", "example.com", "ls"});
  EXPECT_EQ(refused.code, 2);
  EXPECT_THAT(refused.err, HasSubstr("plain text"));
}

TEST_F(AppTest, DoctorFindsWhatIsWrong) {
  server_.status.set_draining(true);
  server_.status.set_version("9.9.9");
  server_.status.mutable_server_time()->set_seconds(kSampleNowSeconds + 100);
  Result result = Run({"doctor"});
  EXPECT_EQ(result.code, 1);  // a provider is unreachable
  for (const char* line :
       {"WARN  version:", "WARN  drain:", "WARN  clock: the daemon's is 1m40s ahead",
        "FAIL  provider far: unreachable: connection refused"}) {
    EXPECT_THAT(result.out, HasSubstr(line));
  }
  server_.Stop();
  result = Run({"doctor"});
  EXPECT_EQ(result.code, 1);
  EXPECT_THAT(result.out, HasSubstr("FAIL  server: cannot reach boxkeeperd"));
}

TEST_F(AppTest, ReapSaysWhatItWasAsked) {
  Result result = Run({"reap", "--dry-run", "--accept-epoch", "9", "-p", "far", "-o", "name"});
  EXPECT_EQ(result.code, 0);
  EXPECT_TRUE(server_.reaped.dry_run());
  EXPECT_EQ(server_.reaped.accept_epoch(), 9);
  EXPECT_EQ(server_.reaped.provider(), "far");
  EXPECT_EQ(result.out, "bkdue\nbkcopied\n");
}

TEST_F(AppTest, OrphansTellOfAHigherEpoch) {
  server_.orphans.set_higher_epoch(9);
  Result result = Run({"orphans"});
  EXPECT_EQ(result.code, 0);
  EXPECT_NE(result.err.find("reap --accept-epoch 9"), std::string::npos) << result.err;
}

TEST_F(AppTest, SandboxesSayWhichProviderCouldNotBeAsked) {
  (*server_.sandboxes.mutable_errors())["far"] = "timeout";
  Result result = Run({"sandboxes", "-o", "json"});
  EXPECT_EQ(result.code, 1);
  EXPECT_THAT(result.out, HasSubstr("\"far\": \"timeout\""));
  EXPECT_EQ(result.err, "boxctl: provider far could not be asked: timeout\n");
}

TEST_F(AppTest, UsageErrorsAre2) {
  for (const std::vector<std::string>& args :
       std::vector<std::vector<std::string>>{{},
                                             {"frobnicate"},
                                             {"ls", "-o", "xml"},
                                             {"get"},
                                             {"run", "--no-such-flag"},
                                             {"run"},
                                             {"run", "-o", "json", "--", "x"},
                                             {"run", "-d", "--output", "x:dir", "--", "x"},
                                             {"ls", "extra"},
                                             {"completion", "tcsh"},
                                             {"--server", "http://x", "ls"},
                                             {"logs", "--tail", "-1", "x"}}) {
    Result result = Run(args);
    EXPECT_EQ(result.code, 2) << ::testing::PrintToString(args);
    EXPECT_THAT(result.err, HasSubstr("boxctl: ")) << ::testing::PrintToString(args);
    EXPECT_EQ(result.out, "");
  }
}

TEST_F(AppTest, HelpVersionAndCompletionNeedNoServer) {
  server_.Stop();
  EXPECT_THAT(Run({"--help"}).out, HasSubstr("Exit codes"));
  EXPECT_THAT(Run({"run", "--help"}).out, HasSubstr("--on-live-key"));
  EXPECT_THAT(Run({"version"}).out, HasSubstr("boxctl "));
  for (const char* shell : {"bash", "zsh", "fish"}) {
    Result result = Run({"completion", shell});
    EXPECT_EQ(result.code, 0);
    EXPECT_THAT(result.out, HasSubstr("boxctl ls -o name"));
    EXPECT_THAT(result.out, HasSubstr("on-live-key"));
  }
}

TEST_F(AppTest, TheReferenceNamesEveryCommandAndFlag) {
  const std::string reference = SourceFile("docs/cli.md");
  std::istringstream words(Run({"completion", "fish"}).out);
  size_t checked = 0;
  for (std::string before, word; words >> word; before = word) {
    if (before != "-l" && before != "__fish_seen_subcommand_from") continue;
    const std::string name = before == "-l" ? "--" + word : word.substr(0, word.find('\''));
    EXPECT_NE(reference.find(name), std::string::npos) << "docs/cli.md does not name " << name;
    ++checked;
  }
  EXPECT_GT(checked, 50u);
}

TEST_F(AppTest, ColoursOnlyOnATerminal) {
  FakeConsole console;
  console.console.colour = true;
  EXPECT_EQ(RunBoxctl({"--server", server_.address(), "ls"}, console.console), 0);
  EXPECT_THAT(console.out(), HasSubstr("\x1b[31mFAILED\x1b[0m"));
  EXPECT_THAT(Run({"ls"}).out, Not(HasSubstr("\x1b")));
}

}  // namespace
}  // namespace boxkeeper::cli
