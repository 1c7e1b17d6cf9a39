#include "daemon/submit/prepare.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>

#include "boxkeeper/store/v1/records.pb.h"
#include "config/load_config.h"
#include "daemon/submit/testing/fake_secret_keeper.h"
#include "daemon/submit/testing/stub_provider.h"
#include "google/protobuf/util/json_util.h"

namespace boxkeeper::daemon {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::UnorderedElementsAre;

constexpr char kConfig[] = R"(
state_dir: /s
scheduling: {default_timeout: 1h}
providers:
  small: {type: stub, env: {FROM: provider}}
  large: {type: stub, image: base}
profiles:
  heavy: {cpu: 4}
  to_large: {provider: large, cpu: 4}
secrets: {allow_env: [TOKEN]}
)";

class PrepareTest : public ::testing::Test {
 protected:
  PrepareTest() {
    config::LoadOptions options;
    options.providers["stub"] = nullptr;
    config::LoadResult loaded = config::LoadConfigText(kConfig, "test.yaml", options);
    EXPECT_THAT(loaded.Messages(), IsEmpty());
    for (auto& [name, keys] : std::map<std::string, std::vector<std::string>>{
             {"small", {}}, {"large", {"cpu", "image", "memory_mb"}}}) {
      registry_[name] = std::make_shared<testing::StubProvider>(name, keys);
    }
    context_ =
        MakePrepareContext(std::make_shared<config::v1::Config>(loaded.config), registry_, keeper_);
    context_.read_env = [](const std::string& name) -> absl::StatusOr<std::string> {
      if (name != "TOKEN") return absl::PermissionDeniedError("is not allowed; allowed: TOKEN");
      return std::string("from-env");
    };
  }

  // A good task with `json`'s fields over it.
  static v1::TaskSpec Task(const std::string& json = "{}") {
    v1::TaskSpec spec;
    spec.set_submission_id("123e4567-e89b-12d3-a456-426614174000");
    spec.mutable_key()->set_name("job");
    spec.mutable_command()->mutable_argv()->add_args("true");
    v1::TaskSpec over;
    EXPECT_TRUE(google::protobuf::util::JsonStringToMessage(json, &over).ok()) << json;
    if (over.command().form_case() != v1::Command::FORM_NOT_SET) spec.clear_command();
    spec.MergeFrom(over);
    return spec;
  }

  std::vector<std::string> Violations(const v1::TaskSpec& spec) {
    std::vector<std::string> texts;
    for (const auto& violation : Prepare(spec, context_).violations) {
      texts.push_back(violation.field + ": " + violation.description);
    }
    return texts;
  }

  void ExpectViolation(const v1::TaskSpec& spec, const std::string& text) {
    EXPECT_THAT(Violations(spec), ElementsAre(HasSubstr(text))) << spec.ShortDebugString();
  }

  testing::FakeSecretKeeper keeper_;
  providers::ProviderRegistry registry_;
  PrepareContext context_;
};

TEST_F(PrepareTest, AGoodTaskBecomesAWholeRecord) {
  const v1::TaskSpec spec = Task(R"({
      "owner": "me", "labels": {"a/b": "c"}, "trace_context": "00-x", "lease": {"ttl": "30s"},
      "key": {"group": "g"}, "on_live_key": "ON_LIVE_KEY_REPLACE",
      "sandbox_override": {"env": {"A": "1"}, "timeout": "5s"},
      "files": [{"path": "./d//f", "content": "eA=="}]})");
  const PreparedTask task = Prepare(spec, context_);
  ASSERT_THAT(task.violations, IsEmpty());
  EXPECT_EQ(task.submission_id.id.ToUuid(), spec.submission_id());
  EXPECT_EQ(task.digest.size(), 32u);
  EXPECT_EQ(task.key, "default/COMMAND/g//job/-1/1");
  EXPECT_EQ(task.on_live_key, v1::ON_LIVE_KEY_REPLACE);
  EXPECT_THAT(task.sealed_box, IsEmpty());
  const store::v1::Accepted& record = task.record;
  EXPECT_EQ(record.submission_id().size(), 16u);
  EXPECT_EQ(record.digest(), task.digest);
  EXPECT_EQ(record.key().namespace_(), "default");
  EXPECT_EQ(record.key().try_(), 1);
  EXPECT_EQ(record.owner(), "me");
  EXPECT_TRUE(record.replaces());
  EXPECT_EQ(record.labels().at("a/b"), "c");
  EXPECT_EQ(record.lease().ttl().seconds(), 30);
  EXPECT_EQ(record.trace_context(), "00-x");
  ASSERT_EQ(record.files_size(), 1);
  EXPECT_EQ(record.files(0).path(), "d/f");
  EXPECT_EQ(record.files(0).mode(), 0644u);
  EXPECT_THAT(record.spec().provider(), ElementsAre("small"));
  EXPECT_EQ(record.spec().timeout().seconds(), 5);
  EXPECT_EQ(record.spec().env().at("FROM"), "provider");
  EXPECT_EQ(record.spec().env().at("A"), "1");
}

TEST_F(PrepareTest, DefaultsAreFrozenIntoTheSpec) {
  const PreparedTask task = Prepare(Task(), context_);
  EXPECT_EQ(task.record.spec().timeout().seconds(), 3600);
  EXPECT_EQ(task.record.spec().grace().seconds(), 10);
  EXPECT_EQ(task.record.spec().log().layout(), "plain");
  EXPECT_FALSE(Prepare(Task(R"({"sandbox_override": {"timeout": "0s"}})"), context_)
                   .record.spec()
                   .has_timeout());
}

TEST_F(PrepareTest, EveryMistakeIsNamed) {
  struct Case {
    const char* json;
    const char* violation;
  };
  const Case cases[] = {
      {R"({"submission_id": "x"})", "submission_id: is no UUID"},
      {R"({"key": {"index": -2}})", "key.index: is below -1"},
      {R"({"key": {"try": -1}})", "key.try: is negative"},
      {R"({"key": {"kind": 9}})", "key.kind: is unknown to this version; allowed: TASK,"},
      {R"({"key": {"group": "a\u0000"}})", "key.group: allowed: at most 512 bytes without control"},
      {R"({"owner": "a\nb"})", "owner: allowed: at most 256 bytes"},
      {R"({"command": {"argv": {}}})", "command.argv.args: is empty; allowed: a program"},
      {R"({"command": {"argv": {"args": ["", "x"]}}})", "command.argv.args[0]: is empty"},
      {R"({"command": {"argv": {"args": ["a", "b\u0000"]}}})",
       "command.argv.args[1]: contains a NUL character"},
      {R"({"command": {"shell": ""}})", "command.shell: is empty"},
      {R"({"command": {"shell": "a\u0000"}})", "command.shell: contains a NUL"},
      {R"({"command": {"script": {"lang": "perl", "body": "x"}}})",
       "command.script.lang: is unknown; allowed: sh, bash or python"},
      {R"({"command": {"script": {}}})", "command.script.body: is empty"},
      {R"({"files": [{"path": ""}]})", "files[0].path: allowed: an absolute path or one relative"},
      {R"({"files": [{"path": "../x"}]})", "files[0].path: allowed"},
      {R"({"files": [{"path": "/a/../b"}]})", "files[0].path: allowed"},
      {R"({"files": [{"path": "a/"}]})", "files[0].path: allowed"},
      {R"({"files": [{"path": "."}]})", "files[0].path: allowed"},
      {R"({"files": [{"path": "a\u0000"}]})", "files[0].path: allowed"},
      {R"({"files": [{"path": "a"}, {"path": "./a"}]})", "files[1].path: stands twice"},
      {R"({"files": [{"path": "a"}, {"path": "a/b"}]})", "files: one path is a directory of"},
      {R"({"files": [{"path": "a", "mode": 4096}]})", "files[0].mode: is no set of permission"},
      {R"({"files": [{"path": "a", "mode": 420, "secret": true}]})",
       "files[0].mode: a secret file's mode is always 0400"},
      {R"({"secrets": {"A": {}}})", "secrets.A: has no source; allowed: exactly one of value, env"},
      {R"({"secrets": {"A=": {"value": "x"}}})", "secrets: 'A=' is no name of a variable"},
      {R"({"secrets": {"BOXKEEPER_A": {"value": "x"}}})", "'BOXKEEPER_A' is reserved"},
      {R"({"secrets": {"A": {"value": "x\u0000"}}})", "secrets.A.value: contains a NUL"},
      {R"({"secrets": {"A": {"env": "HOME"}}})", "secrets.A.env: is not allowed; allowed: TOKEN"},
      {R"({"secrets": {"A": {"file": "/etc/shadow"}}})",
       "secrets.A.file: is not allowed; allowed: what the daemon's secrets.allow_files names"},
      {R"({"secrets": {"A": {"value": "x"}}, "sandbox_override": {"env": {"A": "y"}}})",
       "secrets.A: stands in sandbox_override.env too"},
      {R"({"labels": {"a b": "x"}})", "labels: a label's key is bad"},
      {R"({"labels": {"a": "x\n"}})", "labels.a: allowed: at most 256 bytes"},
      {R"({"lease": {}})", "lease.ttl: allowed: a duration above 0"},
      {R"({"lease": {"ttl": "-5s"}})", "lease.ttl: allowed: a duration above 0"},
      {R"({"lease": {"ttl": "604800s"}})", "lease.ttl: allowed: a duration above 0, below 168h"},
      {R"({"on_live_key": 7})", "on_live_key: is unknown to this version"},
      {R"({"sandbox_override": {"cpus": 1}})", "sandbox_override.cpus: unknown key"},
      {R"({"sandbox_override": {"timeout": "-1s"}})",
       "sandbox_override.timeout: '-1s' is negative"},
      {R"({"sandbox_override": {"keep": "1h"}})", "keep: not supported by this version"},
      {R"({"sandbox_override": {"outputs": ["a/../b"]}})", "outputs: a path has '..' in it"},
      {R"({"sandbox_override": {"profile": "x"}})",
       "sandbox_override.profile: 'x' is not configured"},
      {R"({"sandbox_override": {"provider": "x"}})", "provider 'x' is not configured"},
      {R"({"sandbox_override": {"cpu": 1}})", "sandbox_override.cpu: this provider cannot honour"},
      {R"({"sandbox_override": {"profile": "heavy"}})",
       "sandbox_override.profile: profile heavy: cpu: this provider cannot"},
      {R"({"sandbox_override": {"provider": "large", "pids": 5}})", "sandbox_override.pids: this"},
  };
  for (const Case& test : cases) ExpectViolation(Task(test.json), test.violation);
}

TEST_F(PrepareTest, WhatIsMissingIsNamed) {
  EXPECT_THAT(Violations(v1::TaskSpec()),
              ElementsAre(HasSubstr("submission_id: is missing; allowed: a UUID"),
                          HasSubstr("key.name: is missing"),
                          HasSubstr("command: is missing; allowed: exactly one of")));
}

TEST_F(PrepareTest, AllMistakesOfOneItemComeAtOnce) {
  EXPECT_THAT(Violations(Task(R"({"submission_id": "x", "command": {"argv": {}},
                                  "sandbox_override": {"timeout": "-1s", "no": 1, "cpu": 2},
                                  "files": [{"path": ".."}], "labels": {"": ""}})")),
              UnorderedElementsAre(
                  HasSubstr("submission_id"), HasSubstr("command.argv.args"), HasSubstr("files[0]"),
                  HasSubstr("labels"), HasSubstr("sandbox_override.timeout"),
                  HasSubstr("sandbox_override.no"), HasSubstr("sandbox_override.cpu")));
}

TEST_F(PrepareTest, AnOversizedItemIsRefused) {
  v1::TaskSpec spec = Task();
  spec.add_files()->set_path("f");
  spec.mutable_files(0)->set_content(std::string(1 << 20, 'x'));
  ExpectViolation(spec, "at most 1048576 are allowed");
  spec.mutable_files(0)->mutable_content()->resize((1 << 20) - 1000);
  EXPECT_THAT(Violations(spec), IsEmpty());
}

TEST_F(PrepareTest, HostileItemsGetABoundedAnswer) {
  v1::TaskSpec arguments = Task();
  for (int i = 0; i < 10'000; ++i) {
    arguments.mutable_command()->mutable_argv()->add_args(std::string(1, '\0'));
  }
  v1::TaskSpec keys = Task();
  for (int i = 0; i < 10'000; ++i) {
    (*keys.mutable_sandbox_override()->mutable_fields())["k" + std::to_string(i)];
  }
  for (const v1::TaskSpec& spec : {arguments, keys}) {
    const std::vector<std::string> violations = Violations(spec);
    EXPECT_EQ(violations.size(), 100u);
    EXPECT_EQ(violations.back(), "task: has more violations, which are not shown");
  }
}

TEST_F(PrepareTest, FieldsOfANewerClientAreRefusedNotIgnored) {
  v1::TaskSpec spec = Task();
  spec.GetReflection()->MutableUnknownFields(&spec)->AddVarint(999, 1);
  ExpectViolation(spec, "task: carries field number 999");
  spec = Task();
  auto* command = spec.mutable_command();
  command->GetReflection()->MutableUnknownFields(command)->AddVarint(77, 1);
  ExpectViolation(spec, "command: carries field number 77");
}

TEST_F(PrepareTest, ABadTaskStillHasItsDigest) {
  const PreparedTask good = Prepare(Task(), context_);
  PrepareContext other = context_;
  auto config = std::make_shared<config::v1::Config>(*context_.config);
  config->clear_providers();
  other.config = config;
  const PreparedTask bad = Prepare(Task(), other);
  EXPECT_FALSE(bad.violations.empty());
  EXPECT_EQ(bad.digest, good.digest);
  EXPECT_EQ(bad.submission_id, good.submission_id);
}

TEST_F(PrepareTest, ADeadlineInThePastIsAccepted) {
  const PreparedTask task =
      Prepare(Task(R"({"sandbox_override": {"start_deadline": 1}})"), context_);
  ASSERT_THAT(task.violations, IsEmpty());
  EXPECT_EQ(task.record.spec().start_deadline().seconds(), 1);
}

TEST_F(PrepareTest, ArgumentsAndEnvironmentAreByteExact) {
  const std::string odd =
      std::string("'\"$(x)\n\t\\ ü\xF0\x9F\x98\x80") + std::string(100'000, 'y');
  v1::TaskSpec spec = Task();
  spec.mutable_command()->mutable_argv()->add_args(odd);
  spec.mutable_command()->mutable_argv()->add_args("");
  (*(*spec.mutable_sandbox_override()->mutable_fields())["env"]
        .mutable_struct_value()
        ->mutable_fields())["A"]
      .set_string_value(odd);
  const PreparedTask task = Prepare(spec, context_);
  ASSERT_THAT(task.violations, IsEmpty());
  EXPECT_THAT(task.record.command().argv().args(), ElementsAre("true", odd, ""));
  EXPECT_EQ(task.record.spec().env().at("A"), odd);
}

TEST_F(PrepareTest, TheFirstProviderInOrderThatCanRunItIsChosen) {
  const auto chosen = [this](const char* json) {
    const PreparedTask task = Prepare(Task(json), context_);
    EXPECT_THAT(task.violations, IsEmpty()) << json;
    EXPECT_EQ(task.record.spec().provider_size(), 1);
    return task.record.spec().provider(0);
  };
  EXPECT_EQ(chosen("{}"), "small");
  EXPECT_EQ(chosen(R"({"sandbox_override": {"provider": "auto"}})"), "small");
  EXPECT_EQ(chosen(R"({"sandbox_override": {"provider": "auto", "cpu": 1}})"), "large");
  EXPECT_EQ(chosen(R"({"sandbox_override": {"provider": ["large", "small"]}})"), "large");
  EXPECT_EQ(chosen(R"({"sandbox_override": {"profile": "to_large"}})"), "large");
}

TEST_F(PrepareTest, WhereNoProviderCanEachSaysWhy) {
  EXPECT_THAT(
      Violations(Task(R"({"sandbox_override": {"provider": "auto", "cpu": 1, "pids": 2}})")),
      ElementsAre(HasSubstr("sandbox_override.cpu: provider small: "),
                  HasSubstr("sandbox_override.pids: provider small: "),
                  HasSubstr("sandbox_override.pids: provider large: ")));
}

TEST_F(PrepareTest, SecretsAreSealedAndNowhereElse) {
  const v1::TaskSpec spec = Task(R"({
      "secrets": {"B": {"value": "canary-value"}, "A": {"env": "TOKEN"},
                  "FROM": {"value": "hides the provider's"}},
      "files": [{"path": "/run/key", "content": "Y2FuYXJ5LWZpbGU=", "secret": true},
                {"path": "open", "content": "eA=="}]})");
  const PreparedTask task = Prepare(spec, context_);
  ASSERT_THAT(task.violations, IsEmpty());
  EXPECT_THAT(task.record.secret_names(), ElementsAre("A", "B", "FROM"));
  EXPECT_EQ(task.record.spec().env().count("FROM"), 0u);
  ASSERT_EQ(task.record.files_size(), 1);
  EXPECT_EQ(task.record.files(0).path(), "open");
  for (const std::string& text :
       {task.record.SerializeAsString(), task.sealed_box, task.digest, task.key}) {
    EXPECT_EQ(text.find("canary"), std::string::npos);
    EXPECT_EQ(text.find("from-env"), std::string::npos);
  }
  store::v1::SecretBundle bundle;
  ASSERT_TRUE(bundle.ParseFromString(
      testing::FakeSecretKeeper::Open(task.sealed_box, task.record.submission_id())));
  EXPECT_EQ(bundle.env().at("B"), "canary-value");
  EXPECT_EQ(bundle.env().at("A"), "from-env");
  ASSERT_EQ(bundle.files_size(), 1);
  EXPECT_EQ(bundle.files(0).content(), "canary-file");
  EXPECT_EQ(bundle.files(0).mode(), 0400u);
}

TEST_F(PrepareTest, NoViolationShowsASecretsValue) {
  for (const std::string& text : Violations(Task(R"({"submission_id": "x", "owner": "\n",
                           "secrets": {"A=": {"value": "canary"}, "B": {"value": "canary\u0000"}},
                           "files": [{"path": "..", "content": "Y2FuYXJ5", "secret": true}]})"))) {
    EXPECT_EQ(text.find("canary"), std::string::npos) << text;
  }
}

}  // namespace
}  // namespace boxkeeper::daemon
