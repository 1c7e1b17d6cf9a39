#include "providers/local/options.h"

#include <gtest/gtest.h>

#include "google/protobuf/util/json_util.h"

namespace boxkeeper::providers::local {
namespace {

google::protobuf::Struct Section(const std::string& json) {
  google::protobuf::Struct section;
  EXPECT_TRUE(google::protobuf::util::JsonStringToMessage(json, &section).ok());
  return section;
}

std::vector<std::string> BadFields(const std::string& json) {
  std::vector<std::string> fields;
  for (const FieldViolation& violation : ValidateLocalConfig(Section(json)))
    fields.push_back(violation.field);
  return fields;
}

using Fields = std::vector<std::string>;

TEST(LocalOptionsTest, ReadsAWholeSection) {
  const auto options = ParseLocalOptions(Section(
      R"({"isolation": "none", "run_as": "nobody", "allow_network": ["none", "host"], "allow_host_paths": ["/srv"],
          "images": {"alpine": "/srv/alpine"}, "allow_degraded": false})"));
  ASSERT_TRUE(options.ok()) << options.status();
  EXPECT_EQ(options->isolation, LocalOptions::Isolation::kNone);
  EXPECT_EQ(options->run_as, "nobody");
  EXPECT_EQ(options->allow_host_paths, Fields{"/srv"});
  EXPECT_EQ(options->images.at("alpine"), "/srv/alpine");
}

TEST(LocalOptionsTest, EachIsolationIsAWord) {
  for (const char* section :
       {R"({})", R"({"isolation": "auto"})", R"({"isolation": "none"})",
        R"({"isolation": "bubblewrap"})", R"({"isolation": "auto", "allow_degraded": true})"}) {
    EXPECT_EQ(BadFields(section), Fields{}) << section;
  }
  EXPECT_EQ(BadFields(R"({"isolation": "docker"})"), Fields{"isolation"});
}

TEST(LocalOptionsTest, HostPathsAreNormalised) {
  const auto options = ParseLocalOptions(
      Section(R"({"isolation": "none", "allow_host_paths": ["/a//b/../c/", "/"]})"));
  ASSERT_TRUE(options.ok());
  EXPECT_EQ(options->allow_host_paths, (std::vector<std::string>{"/a/c", "/"}));
}

TEST(LocalOptionsTest, EveryMistakeIsToldAtItsPlace) {
  EXPECT_EQ(
      BadFields(
          R"({"isolation": 7, "allow_degraded": "yes", "run_as": 1, "allow_network": ["bridge"],
                          "allow_host_paths": ["/ok", "relative"], "images": {"a": "relative", "b": 7, "ok": "/srv"}, "imges": {}})"),
      (Fields{"allow_degraded", "allow_host_paths[1]", "allow_network[0]", "images.a", "images.b",
              "imges", "isolation", "run_as"}));
}

TEST(LocalOptionsTest, ParseRefusesWhatValidateRefuses) {
  const auto options = ParseLocalOptions(Section(R"({"isolation": "none", "nonsense": 1})"));
  EXPECT_EQ(options.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_NE(options.status().message().find("nonsense"), std::string::npos);
}

TEST(LocalOptionsTest, AnUnknownImageIsToldWithTheNamesThatThereAre) {
  LocalOptions options;
  EXPECT_NE(ImageViolation("alpine", options)->description.find("no images"), std::string::npos);
  options.images = {{"alpine", "/srv/alpine"}, {"debian", "/srv/debian"}};
  EXPECT_FALSE(ImageViolation("alpine", options).has_value());
  const auto violation = ImageViolation("fedora", options);
  EXPECT_EQ(violation->field, "image");
  EXPECT_NE(violation->description.find("alpine, debian"), std::string::npos);
}

}  // namespace
}  // namespace boxkeeper::providers::local
