// The provider runtime: puts what every remote provider needs around one that only makes its calls.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/rng.h"
#include "providers/provider.h"
#include "providers/runtime/call_runner.h"

namespace boxkeeper::providers {

// Every verb of `inner` goes through a CallRunner:
//
//   verb               places of  repeated after an error (*)   one try takes at most
//   Create             create     only with proof (+ breaker)   the deadline
//   Start              create     only with proof               the deadline
//   Open               status     always                        the deadline
//   Find List Inspect  status     always                        call_timeout
//   ReadOutput Renew   status     always                        call_timeout
//   Signal             cleanup    only with proof               call_timeout
//   Fence Destroy      cleanup    always (idempotent)           call_timeout
//
// (*) of class TRANSIENT or PROTOCOL, with back-off, so many times. Others would be the same again.
//
// A RATE error is repeated, at the learned rate, until the deadline, whatever the verb: it proves
// that nothing happened. A batch of creates becomes one call per sandbox, each on its own way. A
// create whose effect is uncertain is never repeated here: the core looks first.
//
// On the loop. Destroying it leaves calls in flight to end by themselves; the clock outlives
// them.
class ManagedProvider final : public Provider {
 public:
  struct Deps {
    boost::asio::any_io_executor executor;
    base::Clock& clock;
    std::shared_ptr<base::Rng> rng;
  };

  ManagedProvider(Deps deps, std::shared_ptr<Provider> inner, const CallRunnerOptions& options);
  ~ManagedProvider() override;

  const CallRunner& runner() const;

  const std::string& name() const override;
  const std::string& type() const override;
  const pb::Capabilities& capabilities() const override;
  // The inner one's, and what the runtime holds back.
  std::vector<std::string> warnings() const override;
  bool tasks_survive_service_stop() const override;
  std::string helper_version() const override;
  std::vector<FieldViolation> Validate(const v1::SandboxSpec& spec) const override;
  void SetLimits(const CallLimits& limits) override;
  boost::asio::awaitable<absl::Status> Open(base::BootTime deadline) override;
  absl::Status Check() const override;
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
  boost::asio::awaitable<absl::Status> Renew(std::string handle, std::chrono::seconds lifetime,
                                             base::BootTime deadline) override;
  boost::asio::awaitable<absl::Status> Destroy(std::string handle,
                                               base::BootTime deadline) override;
  boost::asio::awaitable<absl::Status> Fence(std::string handle, base::BootTime deadline) override;
  void OnHint(std::function<void(ProviderHint)> receiver) override;

 private:
  struct State;
  const std::shared_ptr<State> state_;
};

}  // namespace boxkeeper::providers
