// The conformance suite on the fake provider, in the launch modes that real providers have.
#include <boost/asio/io_context.hpp>

#include "absl/strings/str_cat.h"
#include "base/rng.h"
#include "base/testing/fake_clock.h"
#include "providers/testing/fake_provider.h"
#include "providers/testing/provider_contract.h"

namespace boxkeeper::providers::testing {
namespace {

using namespace std::chrono_literals;

class FakeUnderTest : public ProviderUnderTest {
 public:
  FakeUnderTest(FakeWorldOptions cloud, FakeProviderOptions options, bool native_spool)
      : options_(std::move(options)), world_(clock_, WithSpool(std::move(cloud), native_spool)) {
    RestartAdapter();
  }

  boost::asio::io_context& context() override { return context_; }
  base::Clock& clock() override { return clock_; }
  Provider& provider() override { return *provider_; }
  void RestartAdapter() override {
    provider_.reset();
    provider_ =
        std::make_unique<FakeProvider>(context_.get_executor(), clock_, *rng_, world_, options_);
  }
  bool RunUntil(const std::function<bool()>& done, std::chrono::nanoseconds limit) override {
    const base::BootTime end = clock_.Boot() + limit;
    clock_.RunUntilIdle();
    while (!done() && clock_.Boot() < end) {
      clock_.JumpTo(std::min(end, clock_.NextAlarm().value_or(end)));
    }
    return done();
  }
  v1::Command Command(const std::string& exec_id, CommandKind kind) override {
    v1::Command command;
    command.set_shell(absl::StrCat("sim ", Words(kind)));
    return command;
  }
  int Executions(const std::string& exec_id) override {
    return world_.ExecutionsByExecId()[exec_id];
  }
  pb::SpoolPaths Spool(const std::string& exec_id) override {
    pb::SpoolPaths paths;
    paths.set_stdout_path(exec_id + "/stdout");
    paths.set_stderr_path(exec_id + "/stderr");
    return paths;
  }
  std::string Spooled(const std::string& exec_id, const std::string& stream) override {
    return spool_[exec_id + "/" + stream];
  }

 private:
  FakeWorldOptions WithSpool(FakeWorldOptions cloud, bool native_spool) {
    if (!native_spool) return cloud;
    cloud.spool_writer = [this](const pb::SpoolPaths& paths, const std::string& stream,
                                const std::string& data) {
      spool_[stream == "stdout" ? paths.stdout_path() : paths.stderr_path()] = data;
    };
    return cloud;
  }
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
  base::FakeClock clock_{context_};
  std::unique_ptr<base::Rng> rng_ = base::MakeSeededRng(7);
  std::map<std::string, std::string> spool_;
  FakeProviderOptions options_;
  FakeWorld world_;
  std::unique_ptr<FakeProvider> provider_;
};

std::unique_ptr<ProviderUnderTest> TwoStep() {
  return std::make_unique<FakeUnderTest>(FakeWorldOptions(), FakeProviderOptions(), true);
}

std::unique_ptr<ProviderUnderTest> OneStep() {
  FakeWorldOptions cloud;
  cloud.one_step = true;
  return std::make_unique<FakeUnderTest>(cloud, FakeProviderOptions(), false);
}

// Slow, with small pages, names that are free at the end, and no events.
std::unique_ptr<ProviderUnderTest> Awkward() {
  FakeWorldOptions cloud;
  cloud.name_unique_incl_ended = false;
  cloud.create_list_lag = 2s;
  cloud.kill_latency = 100ms;
  FakeProviderOptions options;
  options.page_size = 3;
  options.events = false;
  options.spec_keys = {"cpu", "image"};
  VerbFaults slow;
  slow.latency = {10ms, 50ms, 0.1, 200ms};
  options.SetAll(slow);
  return std::make_unique<FakeUnderTest>(cloud, options, false);
}

INSTANTIATE_TEST_SUITE_P(Fake, ProviderContractTest,
                         ::testing::Values(ContractParam{"two_step", TwoStep},
                                           ContractParam{"one_step", OneStep},
                                           ContractParam{"awkward", Awkward}),
                         ContractParamName);

}  // namespace
}  // namespace boxkeeper::providers::testing
