// The configuration and the providers' own checks together.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "config/load_config.h"
#include "providers/registry.h"

namespace boxkeeper {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

config::LoadOptions Options() {
  config::LoadOptions options;
  options.getenv = [](const char*) { return "/s"; };
  for (const std::string& type : providers::ProviderTypes()) {
    options.providers[type] = [](const std::string&, const std::string& own_type,
                                 const google::protobuf::Struct& section) {
      std::vector<config::Problem> problems;
      for (auto& violation : providers::ValidateProviderConfig(own_type, section)) {
        problems.push_back({.key = violation.field, .message = violation.description});
      }
      return problems;
    };
  }
  return options;
}

TEST(ExampleConfigTest, EveryExampleIsGood) {
  int examples = 0;
  for (const auto& entry : std::filesystem::directory_iterator("deploy/examples")) {
    config::LoadOptions options = Options();
    options.check_files = false;  // the certificates they name are not on this machine
    EXPECT_THAT(config::LoadConfig(entry.path().string(), options).Messages(), IsEmpty());
    ++examples;
  }
  EXPECT_GE(examples, 3);
}

TEST(ExampleConfigTest, TheEmbeddedDefaultsAreGood) {
  EXPECT_THAT(config::EmbeddedDefaults(Options()).Messages(), IsEmpty());
}

TEST(ExampleConfigTest, ALocalProvidersMistakesHaveTheirLines) {
  const auto messages = config::LoadConfigText(
                            "providers:\n"
                            "  here:\n"
                            "    type: local\n"
                            "    isolation: docker\n"
                            "    run_us: nobody\n",
                            "b.yaml", Options())
                            .Messages();
  EXPECT_THAT(messages, ElementsAre(::testing::StartsWith("b.yaml:4: providers.here.isolation: "),
                                    ::testing::StartsWith("b.yaml:5: providers.here.run_us: ")));
}

}  // namespace
}  // namespace boxkeeper
