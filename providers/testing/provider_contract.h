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
#include <boost/asio/io_context.hpp>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "providers/provider.h"

namespace boxkeeper::providers::testing {

// What the suite asks a command to do; each provider says it in words that its sandboxes
// understand.
struct CommandKind {
  enum Kind {
    kExit,           // with `value`
    kDieBySignal,    // by signal `value`
    kRunForever,     // ends by TERM
    kIgnoreTerm,     // runs for ever and ends only by KILL
    kPrint,          // `value` bytes on stdout, then exit code 0
    kNotExecutable,  // cannot be started
    kRunBriefly,     // long enough to be seen running, then exit code `value`
  };
  Kind kind = kExit;
  int value = 0;
};

// One provider with the world around it. The suite makes a new one for each case.
class ProviderUnderTest {
 public:
  virtual ~ProviderUnderTest() = default;
  virtual boost::asio::io_context& context() = 0;
  virtual base::Clock& clock() = 0;
  virtual Provider& provider() = 0;
  // The daemon dies and comes back: a new adapter in the same world.
  virtual void RestartAdapter() = 0;
  // Lets things happen until `done` or for `limit` at most; returns done(). Moves the time where it
  // is virtual.
  virtual bool RunUntil(const std::function<bool()>& done, std::chrono::nanoseconds limit) = 0;
  // The command of `exec_id`; where the world keeps no records itself, it leaves them for
  // Executions().
  virtual v1::Command Command(const std::string& exec_id, CommandKind kind) = 0;
  // How often the user code of `exec_id` began, by the world's own records.
  virtual int Executions(const std::string& exec_id) = 0;
  // Spool paths for a launch, and what has been written there so far. Only where the spool is
  // native.
  virtual pb::SpoolPaths Spool(const std::string& exec_id) { return {}; }
  virtual std::string Spooled(const std::string& exec_id, const std::string& stream) { return ""; }
};

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
