#include "config/spec_decoder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "boxkeeper/v1/task.pb.h"
#include "config/merge_spec.h"
#include "config/value.h"
#include "google/protobuf/util/json_util.h"

namespace boxkeeper::config {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Pair;
using ::testing::UnorderedElementsAre;

google::protobuf::Struct Json(const std::string& json) {
  google::protobuf::Struct result;
  EXPECT_TRUE(google::protobuf::util::JsonStringToMessage(json, &result).ok()) << json;
  return result;
}

SpecLayer Decode(const std::string& json, std::vector<std::string>* messages,
                 SpecPlace place = SpecPlace::kOverride) {
  std::vector<Problem> problems;
  SpecLayer layer = DecodeSpec(FromStruct(Json(json)), "sandbox_override", place, &problems);
  for (const Problem& problem : problems) messages->push_back(problem.key + ": " + problem.message);
  return layer;
}

SpecLayer Layer(const std::string& json, SpecPlace place = SpecPlace::kOverride) {
  std::vector<std::string> messages;
  SpecLayer layer = Decode(json, &messages, place);
  EXPECT_THAT(messages, IsEmpty()) << json;
  return layer;
}

TEST(SpecDecoderTest, ReadsEveryKey) {
  const SpecLayer layer = Layer(R"({
    "provider": ["a", "b"], "profile": "p", "image": "i", "template": "t", "cpu": 0.5,
    "memory_mb": 512, "disk_mb": 1, "gpu": "nvidia-t4:1", "pids": 7, "env": {"A_b.c-d": "x\ny"},
    "workdir": "/w", "user": "u", "timeout": "90s", "start_deadline": "2030-01-31T12:00:00.5Z",
    "grace": "500ms", "network": "none", "read_only_root": false, "priority": -3,
    "volumes": ["/data:/mnt/data:ro", "cache:/cache"],
    "outputs": ["dist", "/tmp/*.xml"], "stdin": "in//x",
    "provider_options": {"deep": [1, {"x": null}]},
    "log": {"layout": "airflow", "path": "a/b.log", "streams": ["stdout"]}})");
  const auto& spec = layer.spec();
  EXPECT_THAT(spec.provider(), ElementsAre("a", "b"));
  EXPECT_EQ(spec.profile(), "p");
  EXPECT_EQ(spec.image(), "i");
  EXPECT_EQ(spec.template_(), "t");
  EXPECT_EQ(spec.cpu(), 0.5);
  EXPECT_EQ(spec.memory_mb(), 512);
  EXPECT_EQ(spec.disk_mb(), 1);
  EXPECT_EQ(spec.gpu(), "nvidia-t4:1");
  EXPECT_EQ(spec.pids(), 7);
  EXPECT_EQ(spec.env().at("A_b.c-d"), "x\ny");
  EXPECT_EQ(spec.workdir(), "/w");
  EXPECT_EQ(spec.stdin(), "in/x");
  ASSERT_EQ(spec.outputs_size(), 2);
  EXPECT_EQ(spec.outputs(1), "/tmp/*.xml");
  ASSERT_EQ(spec.volumes_size(), 2);
  EXPECT_EQ(spec.volumes(0).source(), "/data");
  EXPECT_EQ(spec.volumes(0).target(), "/mnt/data");
  EXPECT_TRUE(spec.volumes(0).read_only());
  EXPECT_EQ(spec.volumes(1).source(), "cache");
  EXPECT_FALSE(spec.volumes(1).read_only());
  EXPECT_EQ(spec.user(), "u");
  EXPECT_EQ(spec.timeout().seconds(), 90);
  EXPECT_EQ(spec.start_deadline().seconds(), 1896091200);
  EXPECT_EQ(spec.start_deadline().nanos(), 500'000'000);
  EXPECT_EQ(spec.grace().nanos(), 500'000'000);
  EXPECT_EQ(spec.network(), "none");
  EXPECT_TRUE(spec.has_read_only_root());
  EXPECT_EQ(spec.priority(), -3);
  EXPECT_EQ(spec.provider_options().fields_size(), 1);
  EXPECT_EQ(spec.log().layout(), "airflow");
  EXPECT_EQ(spec.log().path(), "a/b.log");
  EXPECT_THAT(spec.log().streams(), ElementsAre("stdout"));
  const std::vector<std::string> all = SpecKeys(SpecPlace::kOverride);
  EXPECT_THAT(std::vector<std::string>(layer.set().begin(), layer.set().end()),
              ::testing::ElementsAreArray(all));
}

// What the decoder can set and what the message has are the same: no field is forgotten.
TEST(SpecDecoderTest, KnowsExactlyTheFieldsOfSandboxSpec) {
  std::vector<std::string> fields;
  const auto* descriptor = ::boxkeeper::v1::SandboxSpec::descriptor();
  fields.reserve(static_cast<size_t>(descriptor->field_count()));
  for (int i = 0; i < descriptor->field_count(); ++i) {
    fields.push_back(descriptor->field(i)->name());
  }
  EXPECT_THAT(SpecKeys(SpecPlace::kOverride), ::testing::UnorderedElementsAreArray(fields));
}

TEST(SpecDecoderTest, TakesShortForms) {
  EXPECT_THAT(Layer(R"({"provider": "a"})").spec().provider(), ElementsAre("a"));
  EXPECT_THAT(Layer(R"({"provider": "auto"})").spec().provider(), ElementsAre("auto"));
  EXPECT_EQ(Layer(R"({"gpu": 2})").spec().gpu(), "2");
  EXPECT_EQ(Layer(R"({"start_deadline": 1000.25})").spec().start_deadline().nanos(), 250'000'000);
  EXPECT_EQ(Layer(R"({"start_deadline": 0})").set_size(), 1);
  EXPECT_THAT(Layer(R"({"image": ""})").set(), ElementsAre("image"));
  EXPECT_THAT(Layer("{}").set(), IsEmpty());
}

TEST(SpecDecoderTest, SaysWhatIsWrong) {
  struct Case {
    const char* json;
    const char* message;
  };
  const Case cases[] = {
      {R"({"cpus": 1})", "sandbox_override.cpus: unknown key, did you mean 'cpu'?"},
      {R"({"": 1})", "sandbox_override.: unknown key"},
      {R"({"cpu": 0})", "sandbox_override.cpu: 0 is out of range; allowed: a number above 0"},
      {R"({"cpu": "2"})", "sandbox_override.cpu: expected a number"},
      {R"({"cpu": "NaN"})", "sandbox_override.cpu: expected a number"},
      {R"({"memory_mb": 0})", "0 is out of range; allowed: a whole number, 1 to"},
      {R"({"memory_mb": 1e30})", "is out of range"},
      {R"({"memory_mb": 0.5})", "0.5 is not a whole number"},
      {R"({"pids": -1})", "sandbox_override.pids: -1 is out of range"},
      {R"({"timeout": "-5s"})", "sandbox_override.timeout: '-5s' is negative; allowed: 0s to"},
      {R"({"timeout": 5})", "(a number needs its unit)"},
      {R"({"timeout": "5"})", "'5' is not a duration; allowed: a duration such as 500ms"},
      {R"({"timeout": "9000h"})", "'9000h' is out of range; allowed: 0s to 8760h"},
      {R"({"grace": "2h"})", "out of range; allowed: 0s to 1h"},
      {R"({"start_deadline": "soon"})", "allowed: RFC 3339 text"},
      {R"({"start_deadline": "2030-01-31"})", "allowed: RFC 3339 text"},
      {R"({"start_deadline": -1})", "a number of Unix seconds"},
      {R"({"start_deadline": 1e300})", "a number of Unix seconds"},
      {R"({"start_deadline": "infinite-future"})", "allowed: RFC 3339 text"},
      {R"({"image": 5})", "sandbox_override.image: expected text, found a number"},
      {R"({"image": null})", "expected text, found nothing"},
      {R"({"image": "a\u0000b"})", "contains a NUL character"},
      {R"({"workdir": "w"})", "is not absolute; allowed: a path that starts with '/'"},
      {R"({"env": []})", "sandbox_override.env: expected a map"},
      {R"({"env": {"A": 1}})", "sandbox_override.env.A: expected text, found a number; put it in"},
      {R"({"env": {"A": "x\u0000"}})", "sandbox_override.env.A: contains a NUL"},
      {R"({"env": {"A=B": "1"}})", "sandbox_override.env: 'A=B' is no name of a variable"},
      {R"({"env": {"": "1"}})", "'' is no name of a variable"},
      {R"({"env": {"1A": "1"}})", "allowed: [A-Za-z_][A-Za-z0-9_.-]*"},
      {R"({"env": {"BOXKEEPER_X": "1"}})", "'BOXKEEPER_X' is reserved"},
      {R"({"provider": []})", "allowed: a provider's name, a list of at least one name, or auto"},
      {R"({"provider": ""})", "sandbox_override.provider: allowed: a provider's name"},
      {R"({"provider": ["a", "auto"]})", "or auto alone"},
      {R"({"provider": ["a", "a"]})", "sandbox_override.provider[1]: 'a' stands twice"},
      {R"({"provider": 5})", "expected text or a list of texts"},
      {R"({"profile": ""})", "sandbox_override.profile: is empty"},
      {R"({"read_only_root": "yes"})", "expected true or false"},
      {R"({"volumes": ["/data"]})", "SOURCE:TARGET"},
      {R"({"stdin": "in/.."})", "names no file of the sandbox"},
      {R"({"stdin": "in/"})", "names no file of the sandbox"},
      {R"({"outputs": "dist"})", "list"},
      {R"({"outputs": ["a/../../b"]})", "has '..' in it"},
      {R"({"outputs": ["/"]})", "whole file system"},
      {R"({"volumes": ["/data:relative"]})", "SOURCE:TARGET"},
      {R"({"volumes": ["/data:/a/../etc"]})", "SOURCE:TARGET"},
      {R"({"volumes": ["/data:/a:rx"]})", "SOURCE:TARGET"},
      {R"({"priority": 1e9})", "is out of range"},
      {R"({"provider_options": "x"})", "expected a map"},
      {R"({"log": {"layout": "x"}})", "sandbox_override.log.layout: 'x' is none of its values"},
      {R"({"log": {"path": "../x"}})", "sandbox_override.log.path: allowed: a relative path"},
      {R"({"log": {"path": "/x"}})", "allowed: a relative path"},
      {R"({"log": {"path": "a//x"}})", "allowed: a relative path"},
      {R"({"log": {"path": "_boxkeeper/x"}})", "allowed: a relative path"},
      {R"({"log": {"streams": []}})", "allowed: a list of stdout, stderr or both"},
      {R"({"log": {"streams": ["stdin"]}})", "allowed: a list of stdout, stderr or both"},
      {R"({"log": {"paht": "x"}})", "sandbox_override.log.paht: unknown key, did you mean 'path'?"},
  };
  for (const Case& test : cases) {
    std::vector<std::string> messages;
    const SpecLayer layer = Decode(test.json, &messages);
    EXPECT_THAT(messages, ElementsAre(HasSubstr(test.message))) << test.json;
    EXPECT_THAT(layer.set(), IsEmpty()) << test.json;
  }
}

TEST(SpecDecoderTest, KeysOfTheDesignThatAreNotThereYetAreNamed) {
  for (const char* key : {"entrypoint", "labels", "pull_policy", "image_auth", "keep"}) {
    std::vector<std::string> messages;
    Decode("{\"" + std::string(key) + "\": 1}", &messages);
    EXPECT_THAT(messages, ElementsAre(HasSubstr("sandbox_override." + std::string(key) +
                                                ": not supported by this version")));
    EXPECT_TRUE(IsSpecKey(key));
  }
}

TEST(SpecDecoderTest, ReportsEveryMistakeAndKeepsWhatIsGood) {
  std::vector<std::string> messages;
  const SpecLayer layer =
      Decode(R"({"cpu": -1, "image": "ok", "timeout": "x", "what": 1})", &messages);
  EXPECT_EQ(messages.size(), 3u);
  EXPECT_THAT(layer.set(), ElementsAre("image"));
}

class MergeSpecTest : public ::testing::Test {
 protected:
  MergeSpecTest() {
    config_.set_default_provider("a");
    config_.mutable_scheduling()->mutable_cancel_grace()->set_seconds(10);
    config_.mutable_logs()->set_layout("plain");
    for (const char* name : {"a", "b"}) config_.add_providers()->set_name(name);
    *config_.mutable_providers(0)->mutable_spec() =
        Layer(R"({"image": "provider", "user": "provider", "env": {"X": "provider", "P": "1"}})",
              SpecPlace::kProvider);
    (*config_.mutable_profiles())["p"] = Layer(
        R"({"provider": "b", "image": "profile", "timeout": "5s", "priority": 7,
            "env": {"X": "profile", "Q": "2"}, "log": {"layout": "airflow"},
            "provider_options": {"one": 1, "two": 2}})",
        SpecPlace::kProfile);
  }

  ::boxkeeper::v1::SandboxSpec Merge(const std::string& json, int provider = 0) {
    return MergeSpec(config_, config_.providers(provider), Layer(json));
  }
  std::vector<std::string> Candidates(const std::string& json) {
    std::vector<Problem> problems;
    std::vector<std::string> names;
    for (const auto* one : CandidateProviders(config_, Layer(json), &problems)) {
      names.push_back(one->name());
    }
    for (const Problem& problem : problems) names.push_back(problem.key + ": " + problem.message);
    return names;
  }

  v1::Config config_;
};

TEST_F(MergeSpecTest, LaterLayersWinKeyByKey) {
  const auto spec = Merge(
      R"({"profile": "p", "image": "task", "env": {"Q": "task"}, "provider_options": {"two": 3},
          "log": {"path": "x"}})");
  EXPECT_EQ(spec.image(), "task");
  EXPECT_EQ(spec.user(), "provider");
  EXPECT_EQ(spec.timeout().seconds(), 5);
  EXPECT_EQ(spec.priority(), 7);
  EXPECT_THAT(spec.env(),
              UnorderedElementsAre(Pair("X", "profile"), Pair("P", "1"), Pair("Q", "task")));
  EXPECT_EQ(spec.provider_options().fields().at("one").number_value(), 1);
  EXPECT_EQ(spec.provider_options().fields().at("two").number_value(), 3);
  EXPECT_EQ(spec.log().layout(), "airflow");
  EXPECT_EQ(spec.log().path(), "x");
  EXPECT_THAT(spec.provider(), ElementsAre("a"));
  EXPECT_EQ(spec.profile(), "p");
  EXPECT_EQ(spec.grace().seconds(), 10);
}

TEST_F(MergeSpecTest, ALayerCanSetAKeyBackToItsDefault) {
  const auto spec = Merge(R"({"profile": "p", "image": "", "priority": 0, "timeout": "0s"})");
  EXPECT_EQ(spec.image(), "");
  EXPECT_EQ(spec.priority(), 0);
  EXPECT_FALSE(spec.has_timeout());
}

TEST_F(MergeSpecTest, DefaultTimeoutCountsOnlyWhereNobodySetOne) {
  EXPECT_FALSE(Merge("{}").has_timeout());
  config_.mutable_scheduling()->mutable_default_timeout()->set_seconds(60);
  EXPECT_EQ(Merge("{}").timeout().seconds(), 60);
  EXPECT_EQ(Merge(R"({"profile": "p"})").timeout().seconds(), 5);
  EXPECT_EQ(Merge(R"({"timeout": "7s"})").timeout().seconds(), 7);
  EXPECT_FALSE(Merge(R"({"timeout": "0s"})").has_timeout());
}

TEST_F(MergeSpecTest, CandidatesComeFromTheHighestLayerThatNamesThem) {
  EXPECT_THAT(Candidates("{}"), ElementsAre("a"));
  EXPECT_THAT(Candidates(R"({"profile": "p"})"), ElementsAre("b"));
  EXPECT_THAT(Candidates(R"({"profile": "p", "provider": "a"})"), ElementsAre("a"));
  EXPECT_THAT(Candidates(R"({"provider": ["b", "a"]})"), ElementsAre("b", "a"));
  EXPECT_THAT(Candidates(R"({"provider": "auto"})"), ElementsAre("a", "b"));
  config_.set_default_provider("auto");
  EXPECT_THAT(Candidates("{}"), ElementsAre("a", "b"));
}

TEST_F(MergeSpecTest, UnknownNamesAreProblems) {
  EXPECT_THAT(Candidates(R"({"profile": "x"})"),
              ElementsAre("sandbox_override.profile: 'x' is not configured; allowed: p"));
  EXPECT_THAT(Candidates(R"({"provider": ["a", "x"]})"),
              ElementsAre("sandbox_override.provider: provider 'x' is not configured; allowed: a "
                          "and b, a list of them, or auto"));
}

TEST_F(MergeSpecTest, TellsWhichLayerSetAKey) {
  const SpecLayer layer = Layer(R"({"profile": "p", "cpu": 1})");
  const v1::Provider& a = config_.providers(0);
  EXPECT_EQ(LayerOf("cpu", config_, a, layer), SpecLayerName::kOverride);
  EXPECT_EQ(LayerOf("image", config_, a, layer), SpecLayerName::kProfile);
  EXPECT_EQ(LayerOf("user", config_, a, layer), SpecLayerName::kProvider);
  EXPECT_EQ(LayerOf("gpu", config_, a, layer), SpecLayerName::kDaemon);
}

}  // namespace
}  // namespace boxkeeper::config
