#include "cli/spec.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cstdlib>
#include <fstream>

#include "base/id128.h"
#include "base/task_key.h"
#include "cli/proto_node.h"
#include "cli/testing/fake_console.h"

namespace boxkeeper::cli {
namespace {

using ::testing::HasSubstr;

std::string WriteTemp(const std::string& name, const std::string& content) {
  std::string path = std::string(std::getenv("TEST_TMPDIR")) + "/" + name;
  std::ofstream(path) << content;
  return path;
}

class SpecTest : public ::testing::Test {
 protected:
  SpecTest() { flags_.argv = {"/bin/echo", "hi"}; }

  v1::TaskSpec Build() {
    auto submission = BuildSubmission(flags_, console_.console);
    EXPECT_TRUE(submission.ok()) << submission.status();
    if (!submission.ok()) return {};
    blobs_ = submission->blobs;
    return submission->spec;
  }
  std::string Error() {
    return std::string(BuildSubmission(flags_, console_.console).status().message());
  }
  std::string Override() { return CompactJson(ProtoNode(Build().sandbox_override())); }

  SubmitFlags flags_;
  std::vector<LocalBlob> blobs_;  // of the last Build
  FakeConsole console_;
};

TEST_F(SpecTest, ADefaultKeyIsNewAndNamesTheProgram) {
  v1::TaskSpec spec = Build();
  EXPECT_TRUE(base::Id128::ParseUuid(spec.submission_id()).has_value());
  EXPECT_EQ(base::KeyString(spec.key()), "default/COMMAND//" + spec.submission_id() + "/echo/-1/1");
  EXPECT_NE(Build().submission_id(), spec.submission_id());
  EXPECT_EQ(spec.command().argv().args(1), "hi");
  EXPECT_FALSE(spec.has_lease());
  EXPECT_EQ(spec.owner(), "");
}

TEST_F(SpecTest, SandboxFlagsBecomeOverrides) {
  EXPECT_EQ(Override(), "{}");
  flags_.provider = {"a", "b"};
  flags_.image = "alpine";
  flags_.template_name = "t";
  flags_.cpu = 1.5;
  flags_.memory_mb = 512;
  flags_.priority = -3;
  flags_.timeout = "90s";
  flags_.start_deadline = "10m";
  flags_.env = {"A=1=2", "EMPTY="};
  EXPECT_EQ(Override(),
            R"({"cpu":1.5,"env":{"A":"1=2","EMPTY":""},"image":"alpine","memory_mb":512,)"
            R"("priority":-3,"provider":["a","b"],"start_deadline":"2026-01-02T15:16:00.000Z",)"
            R"("template":"t","timeout":"1m30s"})");
  flags_.provider = {"auto"};
  EXPECT_THAT(Override(), HasSubstr(R"("provider":"auto")"));
}

TEST_F(SpecTest, EnvironmentComesFromFilesThenFlags) {
  console_.environment["HERE"] = "mine";
  flags_.env_files = {WriteTemp("env", "# note\n\nA=file\nB= x 'y' \nHERE\r\n")};
  flags_.env = {"A=flag"};
  EXPECT_EQ(Override(), R"({"env":{"A":"flag","B":" x 'y' ","HERE":"mine"}})");
  flags_.env_files = {WriteTemp("bad_env", "A=1\n=x\n")};
  EXPECT_THAT(Error(), HasSubstr("bad_env:2: '=x' is not NAME=VALUE"));
}

TEST_F(SpecTest, SecretsHaveFiveSources) {
  console_.environment["TOKEN"] = "from-env";
  flags_.secrets = {
      "TOKEN",          "B=env:TOKEN",          "C=file:" + WriteTemp("secret", "s\n"),
      "D=server-env:X", "E=server-file:/run/x", "F=plain",
      "G=value:env:x"};
  v1::TaskSpec spec = Build();
  EXPECT_EQ(spec.secrets().at("TOKEN").value(), "from-env");
  EXPECT_EQ(spec.secrets().at("B").value(), "from-env");
  EXPECT_EQ(spec.secrets().at("C").value(), "s\n");
  EXPECT_EQ(spec.secrets().at("D").env(), "X");
  EXPECT_EQ(spec.secrets().at("E").file(), "/run/x");
  EXPECT_EQ(spec.secrets().at("F").value(), "plain");
  EXPECT_EQ(spec.secrets().at("G").value(), "env:x");
  flags_.secrets = {"NOPE"};
  EXPECT_THAT(Error(), HasSubstr("--secret NOPE: no variable 'NOPE'"));
}

TEST_F(SpecTest, FilesKeepTheirModeAndSecretOnesHaveNone) {
  const std::string path = WriteTemp("tool.sh", std::string("\0\xFFx", 3));
  ASSERT_EQ(::chmod(path.c_str(), 0755), 0);
  flags_.files = {path + ":bin/tool"};
  flags_.secret_files = {path + ":/run/key"};
  v1::TaskSpec spec = Build();
  EXPECT_EQ(spec.files(0).path(), "bin/tool");
  EXPECT_EQ(spec.files(0).mode(), 0755u);
  EXPECT_EQ(spec.files(0).content(), std::string("\0\xFFx", 3));
  EXPECT_TRUE(spec.files(1).secret());
  EXPECT_EQ(spec.files(1).mode(), 0u);
  EXPECT_TRUE(blobs_.empty());
  flags_.files = {"no-colon"};
  EXPECT_THAT(Error(), HasSubstr("--file: 'no-colon' is not LOCAL:REMOTE"));
}

TEST_F(SpecTest, ScriptsFindTheirLanguage) {
  auto lang = [&](const std::string& name, const std::string& body, const std::string& given) {
    flags_ = SubmitFlags();
    flags_.lang = given;
    flags_.script = WriteTemp(name, body);
    return Build().command().script().lang();
  };
  EXPECT_EQ(lang("a.py", "", ""), "python");
  EXPECT_EQ(lang("a.bash", "", ""), "bash");
  EXPECT_EQ(lang("a", "#!/usr/bin/env python3\n", ""), "python");
  EXPECT_EQ(lang("b", "echo", ""), "sh");
  EXPECT_EQ(lang("c.py", "", "sh"), "sh");
  console_.input = "print(1)";
  flags_ = SubmitFlags();
  flags_.lang = "python";
  flags_.script = "-";
  EXPECT_EQ(Build().command().script().body(), "print(1)");
}

TEST_F(SpecTest, SaysWhichFlagIsWrong) {
  flags_.timeout = "soon";
  EXPECT_THAT(Error(), HasSubstr("--timeout"));
  flags_ = SubmitFlags();
  EXPECT_THAT(Error(), HasSubstr("no command"));
  flags_ = SubmitFlags();
  flags_.shell = "x";
  flags_.argv = {"y"};
  EXPECT_THAT(Error(), HasSubstr("only one of"));
  flags_ = SubmitFlags();
  flags_.argv = {"\xFF"};
  EXPECT_THAT(Error(), HasSubstr("not UTF-8"));
  flags_ = SubmitFlags();
  flags_.key = "job";
  flags_.argv = {"x"};
  EXPECT_THAT(Error(), HasSubstr("--key: has 1 parts"));
  flags_ = SubmitFlags();
  flags_.labels = {"x"};
  flags_.argv = {"x"};
  EXPECT_THAT(Error(), HasSubstr("--label: 'x' is not NAME=VALUE"));
  flags_ = SubmitFlags();
  flags_.script = "/nonexistent.py";
  EXPECT_THAT(Error(), HasSubstr("boxctl run -- PROGRAM"));
}

TEST_F(SpecTest, FilesThatDoNotFitBecomeBlobs) {
  const std::string large = WriteTemp("large", std::string(300'000, 'l'));
  flags_.files = {large + ":l"};
  std::vector<std::string> medium;
  for (const char c : {'a', 'b', 'c', 'd'}) {
    flags_.files.push_back(WriteTemp(std::string("m") + c, std::string(200'000, c)) + ":" + c);
  }
  const v1::TaskSpec spec = Build();
  EXPECT_EQ(blobs_.size(), 3u);
  EXPECT_EQ(blobs_[0].path, large);
  EXPECT_EQ(blobs_[0].size, 300'000);
  EXPECT_EQ(spec.files(0).blob(), blobs_[0].sha256);
  EXPECT_LT(spec.ByteSizeLong(), 512u * 1024);
  // A secret one never does: it would lie there unsealed.
  flags_.files.clear();
  flags_.secret_files = {large + ":/k"};
  EXPECT_EQ(Build().files(0).content().size(), 300'000u);
  EXPECT_TRUE(blobs_.empty());
}

TEST_F(SpecTest, StandardInputIsAFileOfTheTask) {
  flags_.input = WriteTemp("input", "1\n");
  const v1::TaskSpec spec = Build();
  EXPECT_EQ(spec.files(0).content(), "1\n");
  EXPECT_EQ(Override(), "{\"stdin\":\"" + spec.files(0).path() + "\"}");
  flags_.argv.clear();
  flags_.script = "-";
  flags_.input = "-";
  EXPECT_THAT(Error(), HasSubstr("--stdin"));
}

}  // namespace
}  // namespace boxkeeper::cli
