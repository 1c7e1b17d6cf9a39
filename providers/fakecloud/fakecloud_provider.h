// The adapter of FakeCloud: what an adapter of a real cloud looks like, for tests.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "base/clock.h"
#include "base/rng.h"
#include "providers/fakecloud/options.h"
#include "providers/provider.h"
#include "providers/runtime/call_runner.h"

namespace boxkeeper::providers::fakecloud {

// Makes its calls and nothing else: it belongs into a ManagedProvider (MakeFakeCloudProvider),
// which asks it for one sandbox at a time. On the loop. Destroying it ends the stream of events;
// calls in flight end by themselves; the clock outlives them.
class FakeCloudProvider final : public Provider {
 public:
  struct Deps {
    boost::asio::any_io_executor executor;
    base::Clock& clock;
    std::shared_ptr<base::Rng> rng;
  };

  // kFailedPrecondition: the API key cannot be read. kInvalidArgument: the CA file cannot.
  static absl::StatusOr<std::shared_ptr<FakeCloudProvider>> Create(Deps deps,
                                                                   const std::string& name,
                                                                   const FakeCloudOptions& options);
  ~FakeCloudProvider() override;

  const std::string& name() const override;
  const std::string& type() const override;
  const pb::Capabilities& capabilities() const override;
  std::vector<FieldViolation> Validate(const v1::SandboxSpec& spec) const override;
  // Asks for one page of the list; connects to the stream of events in the background.
  boost::asio::awaitable<absl::Status> Open(base::BootTime deadline) override;
  boost::asio::awaitable<void> Create(std::vector<pb::CreateRequest> requests,
                                      base::BootTime deadline,
                                      std::function<void(size_t, pb::CreateOutcome)> done) override;
  boost::asio::awaitable<pb::StartOutcome> Start(std::string handle, pb::LaunchRequest launch,
                                                 base::BootTime deadline) override;
  boost::asio::awaitable<absl::StatusOr<pb::SandboxView>> Find(std::string name,
                                                               base::BootTime deadline) override;
  boost::asio::awaitable<absl::StatusOr<pb::ListPage>> List(std::string cursor,
                                                            base::BootTime deadline) override;
  boost::asio::awaitable<absl::StatusOr<pb::SandboxView>> Inspect(std::string handle,
                                                                  base::BootTime deadline) override;
  boost::asio::awaitable<absl::StatusOr<pb::OutputChunk>> ReadOutput(
      std::string handle, std::string exec_id, std::string stream, int64_t offset,
      int64_t max_bytes, base::BootTime deadline) override;
  boost::asio::awaitable<absl::Status> Signal(std::string handle, SignalRequest request,
                                              base::BootTime deadline) override;
  boost::asio::awaitable<absl::Status> Destroy(std::string handle,
                                               base::BootTime deadline) override;
  boost::asio::awaitable<absl::Status> Fence(std::string handle, base::BootTime deadline) override;
  void OnHint(std::function<void(ProviderHint)> receiver) override;

 private:
  struct State;
  explicit FakeCloudProvider(std::shared_ptr<State> state) : state_(std::move(state)) {}
  const std::shared_ptr<State> state_;
};

// The adapter inside the provider runtime.
absl::StatusOr<std::shared_ptr<Provider>> MakeFakeCloudProvider(FakeCloudProvider::Deps deps,
                                                                const std::string& name,
                                                                const FakeCloudOptions& options,
                                                                const CallRunnerOptions& runner);

}  // namespace boxkeeper::providers::fakecloud
