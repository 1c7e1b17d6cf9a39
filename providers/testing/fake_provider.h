// A provider in memory on virtual time, with the failures of real ones. The adapter dies with the
// daemon; its FakeWorld (fake_world.h) is the cloud, and lives on.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/rng.h"
#include "providers/provider.h"
#include "providers/testing/fake_world.h"
#include "providers/testing/fault_options.h"

namespace boxkeeper::providers::testing {

// Single-threaded, on the clock's io_context. Destroying it ends its calls with kCancelled once the
// clock moves; what they had sent still takes effect in the world. Clock, rng and world outlive the
// calls in flight.
class FakeProvider : public Provider {
 public:
  enum class Reach {
    kUp,
    kRefuses,
    kHangs
  };  // kRefuses proves no effect; kHangs answers nothing until the deadline

  FakeProvider(boost::asio::any_io_executor executor, base::Clock& clock, base::Rng& rng,
               FakeWorld& world, FakeProviderOptions options);
  ~FakeProvider() override;

  // Takes effect with the next call.
  FakeProviderOptions& options();
  void SetReach(Reach reach);
  int64_t calls(Verb verb) const;  // sent so far; a batch counts one Create per request

  const std::string& name() const override;
  const std::string& type() const override;
  const pb::Capabilities& capabilities() const override { return capabilities_; }
  std::vector<FieldViolation> Validate(const v1::SandboxSpec& spec) const override;
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
  struct State;  // shared with the calls in flight

  std::shared_ptr<State> state_;
  pb::Capabilities capabilities_;
};

}  // namespace boxkeeper::providers::testing
