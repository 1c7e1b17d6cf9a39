#include "providers/registry.h"

#include <gtest/gtest.h>

#include <boost/asio/io_context.hpp>

#include "base/real_clock.h"

namespace boxkeeper::providers {
namespace {

google::protobuf::Struct NoIsolation() {
  google::protobuf::Struct options;
  (*options.mutable_fields())["isolation"].set_string_value("none");
  return options;
}

std::vector<FieldViolation> RefuseEverything(const google::protobuf::Struct&) {
  return {{"x", "refused"}};
}
absl::StatusOr<std::shared_ptr<Provider>> MakeNothing(const std::string& name,
                                                      const google::protobuf::Struct&,
                                                      const ProviderDeps&) {
  return absl::UnimplementedError(name);
}
const bool kRegistered = RegisterProviderType("ours", {&RefuseEverything, &MakeNothing});

class RegistryTest : public ::testing::Test {
 protected:
  boost::asio::io_context context_;
  std::unique_ptr<base::Clock> clock_ = base::MakeRealClock();
  ProviderDeps deps_{context_.get_executor(), *clock_, "/tmp", "/bin/true"};
};

TEST_F(RegistryTest, MakesAProviderUnderItsConfiguredName) {
  const auto provider = MakeProvider("here", "local", NoIsolation(), deps_);
  ASSERT_TRUE(provider.ok()) << provider.status();
  EXPECT_EQ((*provider)->name(), "here");
  EXPECT_EQ((*provider)->type(), "local");
}

TEST_F(RegistryTest, UnknownTypeIsAViolationThatNamesTheKnown) {
  const auto violations = ValidateProviderConfig("dokcer", {});
  ASSERT_EQ(violations.size(), 1u);
  EXPECT_EQ(violations[0].field, "type");
  EXPECT_NE(violations[0].description.find("local"), std::string::npos);
  EXPECT_EQ(MakeProvider("x", "dokcer", {}, deps_).status().code(),
            absl::StatusCode::kInvalidArgument);
}

TEST_F(RegistryTest, RefusedSectionMakesNoProvider) {
  google::protobuf::Struct options;
  (*options.mutable_fields())["isolation"].set_string_value("docker");
  EXPECT_FALSE(ValidateProviderConfig("local", options).empty());
  EXPECT_EQ(MakeProvider("x", "local", options, deps_).status().code(),
            absl::StatusCode::kInvalidArgument);
}

TEST_F(RegistryTest, RegisteredTypeIsLikeABuiltInOne) {
  EXPECT_TRUE(kRegistered);
  EXPECT_EQ(ProviderTypes(), (std::vector<std::string>{"local", "ours"}));
  EXPECT_EQ(ValidateProviderConfig("ours", {}).at(0).field, "x");
  EXPECT_EQ(MakeProvider("x", "ours", {}, deps_).status().message(), "x");
}

TEST_F(RegistryTest, MissingLauncherIsSaidAtOnce) {
  deps_.launcher_path = "/no/such/boxlaunch";
  const auto provider = MakeProvider("x", "local", NoIsolation(), deps_);
  EXPECT_EQ(provider.status().code(), absl::StatusCode::kNotFound);
}

}  // namespace
}  // namespace boxkeeper::providers
