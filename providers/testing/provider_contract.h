// The conformance suite: what every provider must do, and what it must do because it declares so.
//
// A provider's own test implements ProviderUnderTest and instantiates the suite:
//
//   INSTANTIATE_TEST_SUITE_P(Docker, ProviderContractTest,
//                            ::testing::Values(ContractParam{"docker", MakeDockerUnderTest}),
//                            ContractParamName);
#pragma once

#include <gtest/gtest.h>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "providers/provider.h"
#include "providers/testing/provider_under_test.h"

namespace boxkeeper::providers::testing {

struct ContractParam {
  std::string name;
  std::function<std::unique_ptr<ProviderUnderTest>()> make;
};
inline std::string ContractParamName(const ::testing::TestParamInfo<ContractParam>& info) {
  return info.param.name;
}

class ProviderContractTest : public ::testing::TestWithParam<ContractParam> {
 protected:
  static constexpr std::chrono::seconds kLimit{20};

  void SetUp() override;
  void TearDown() override;

  Provider& provider() { return world_->provider(); }
  const pb::Capabilities& capabilities() { return world_->provider().capabilities(); }
  bool TwoStep() { return capabilities().launch() == pb::Capabilities::TWO_STEP; }
  base::BootTime Deadline() { return world_->clock().Boot() + kLimit; }

  // Runs one call to its end.
  template <typename T>
  T Await(boost::asio::awaitable<T> call) {
    std::optional<T> result;
    boost::asio::co_spawn(world_->context(), std::move(call),
                          [&](std::exception_ptr error, T value) {
                            EXPECT_FALSE(error);
                            result.emplace(std::move(value));
                          });
    if (!world_->RunUntil([&] { return result.has_value(); }, 2 * kLimit)) {
      ADD_FAILURE() << "the call did not complete by its deadline";
      std::abort();  // its frame refers to this one
    }
    return std::move(*result);
  }

  pb::CreateRequest Request(const std::string& name, CommandKind command = {});
  pb::LaunchRequest Launch(const std::string& exec_id, CommandKind command);
  // Outcomes in the order of the requests; each must be told exactly once.
  std::vector<pb::CreateOutcome> Create(std::vector<pb::CreateRequest> requests);
  // A sandbox whose command has been started, as the launch mode wants it. exec_id is "x-" + name.
  // A command that runs for ever has got to its first step when this returns.
  std::string Run(const std::string& name, CommandKind command);
  // The same without a command in it; two-step only.
  std::string CreateOnly(const std::string& name);
  pb::StartOutcome Start(const std::string& handle, pb::LaunchRequest launch);
  pb::SandboxView Inspect(const std::string& handle);
  // Waits until Inspect says ENDED.
  pb::ExitRecord WaitForEnd(const std::string& handle);
  // Until lists and Find show what has been created, by the declared lag.
  void WaitForLists();
  // Rows by name, through all pages, after WaitForLists.
  std::map<std::string, std::vector<pb::SandboxView>> ListAll();

  std::unique_ptr<ProviderUnderTest> world_;
};

}  // namespace boxkeeper::providers::testing
