// The conformance suite through the adapter, its runtime and a real server: clean, in both launch
// modes, and with as many faults as the runtime must hide.
#include <boost/asio/io_context.hpp>

#include "absl/strings/str_cat.h"
#include "base/real_clock.h"
#include "providers/fakecloud/fakecloud_provider.h"
#include "providers/fakecloud/server.h"
#include "providers/testing/provider_contract.h"

namespace boxkeeper::providers::fakecloud {
namespace {

using namespace std::chrono_literals;
using testing::CommandKind;
using testing::ContractParam;
using testing::FakeWorldOptions;
using testing::ProviderContractTest;
using testing::ProviderUnderTest;

class FakeCloudUnderTest : public ProviderUnderTest {
 public:
  FakeCloudUnderTest(FakeWorldOptions cloud, const std::string& script)
      : world_(*clock_, std::move(cloud)) {
    auto server =
        FakeCloudServer::Create({context_.get_executor(), *clock_, *rng_, world_}, ServerOptions());
    if (!server.ok()) std::abort();
    server_ = *std::move(server);
    if (!server_->SetScript(script).ok()) std::abort();
    RestartAdapter();
  }

  boost::asio::io_context& context() override { return context_; }
  base::Clock& clock() override { return *clock_; }
  Provider& provider() override { return *provider_; }
  void RestartAdapter() override {
    provider_.reset();
    FakeCloudOptions options;
    options.remote.base_url = *base::http::ParseBaseUrl(server_->url());
    options.one_step = world_.options().one_step;
    CallRunnerOptions runner;
    runner.limits.call_timeout = 1s;
    runner.tries_max = 8;
    runner.backoff.initial = 10ms;
    auto provider =
        MakeFakeCloudProvider({context_.get_executor(), *clock_, rng_}, "cloud", options, runner);
    if (!provider.ok()) std::abort();
    provider_ = *std::move(provider);
  }
  bool RunUntil(const std::function<bool()>& done, std::chrono::nanoseconds limit) override {
    const base::BootTime end = clock_->Boot() + limit;
    while (!done() && clock_->Boot() < end) context_.run_one_for(10ms);
    return done();
  }
  v1::Command Command(const std::string&, CommandKind kind) override {
    v1::Command command;
    command.set_shell(absl::StrCat("sim ", Words(kind)));
    return command;
  }
  int Executions(const std::string& exec_id) override {
    return world_.ExecutionsByExecId()[exec_id];
  }

 private:
  static std::string Words(CommandKind kind) {
    switch (kind.kind) {
      case CommandKind::kExit:
        return absl::StrCat("exit=", kind.value);
      case CommandKind::kDieBySignal:
        return absl::StrCat("signal=", kind.value);
      case CommandKind::kRunForever:
        return "run=10h";
      case CommandKind::kIgnoreTerm:
        return "run=10h ignore_term";
      case CommandKind::kPrint:
        return absl::StrCat("run=100ms out=", kind.value);
      case CommandKind::kNotExecutable:
        return "start_fails";
      case CommandKind::kRunBriefly:
        return absl::StrCat("run=1s exit=", kind.value);
    }
    return "";
  }

  boost::asio::io_context context_;
  std::unique_ptr<base::Clock> clock_ = base::MakeRealClock();
  std::shared_ptr<base::Rng> rng_ = base::MakeSeededRng(11);
  testing::FakeWorld world_;
  std::unique_ptr<FakeCloudServer> server_;
  std::shared_ptr<Provider> provider_;
};

std::unique_ptr<ProviderUnderTest> TwoStep() {
  return std::make_unique<FakeCloudUnderTest>(FakeWorldOptions(), "");
}

std::unique_ptr<ProviderUnderTest> OneStep() {
  FakeWorldOptions cloud;
  cloud.one_step = true;
  return std::make_unique<FakeCloudUnderTest>(std::move(cloud), "");
}

std::unique_ptr<ProviderUnderTest> Faulty() {
  return std::make_unique<FakeCloudUnderTest>(FakeWorldOptions(), R"(
rate_limit: {per_second: 400, retry_after: 1s}
faults:
  - {verbs: all, fault: latency, min: 0ms, max: 10ms, tail: 0.02, tail_max: 100ms}
  - {verbs: [find, list, inspect], fault: status, status: 429, probability: 0.02, count: 1}
  - {verbs: [create, start, signal], fault: status, status: 425, probability: 0.05}
  - {verbs: [find, list, inspect, read_output, destroy, fence], fault: status, status: 503, probability: 0.05}
  - {verbs: [find, list, inspect, read_output, destroy, fence], fault: reset, probability: 0.02}
  - {verbs: [find, list, inspect, read_output, fence], fault: cut, probability: 0.02}
  - {verbs: [find, list, inspect, read_output, fence], fault: html, probability: 0.02}
  - {verbs: [find, list, inspect, fence], fault: garbage, probability: 0.02}
  - {verbs: [find, list, inspect], fault: huge, count: 1, probability: 0.01}
  - {verbs: [find, list, inspect], fault: hang, count: 1, probability: 0.02}
  - {verbs: [find, list, inspect], fault: drip, count: 1, probability: 0.02}
)");
}

INSTANTIATE_TEST_SUITE_P(FakeCloud, ProviderContractTest,
                         ::testing::Values(ContractParam{"two_step", TwoStep},
                                           ContractParam{"one_step", OneStep},
                                           ContractParam{"faulty", Faulty}),
                         testing::ContractParamName);

}  // namespace
}  // namespace boxkeeper::providers::fakecloud
