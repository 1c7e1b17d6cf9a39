// The fake provider, with a guard at its door: every call of the core is held against what is
// durable at that moment (I3, I4, I6, I12) and counted (I10).
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "providers/provider.h"
#include "tests/sim/draws.h"
#include "tests/sim/durable.h"
#include "tests/sim/plan.h"
#include "tests/sim/trace.h"
#include "tests/sim/world.h"

namespace boxkeeper::sim {

namespace asio = boost::asio;
namespace pb = ::boxkeeper::provider::v1;

// What the guard looks at. All outlive the provider.
struct GuardDeps {
  Trace& trace;
  Durable& durable;
  Cloud& cloud;
  const daemon::Naming& naming;
  daemon::ProviderLimits limits;
  // It may not be destroyed: the store, a restored backup that nobody has accepted, never knew it.
  std::function<bool(const std::string& name)> hands_off;
  base::Clock& clock;
  // False once the process is as good as dead: nothing leaves it any more.
  std::function<bool()> may_act;
};

// Lives as long as one life of the daemon.
class ObservedProvider final : public providers::Provider {
 public:
  ObservedProvider(std::shared_ptr<providers::testing::FakeProvider> fake, uint64_t seed,
                   GuardDeps deps);

  const std::string& name() const override { return fake_->name(); }
  const std::string& type() const override { return fake_->type(); }
  const pb::Capabilities& capabilities() const override { return fake_->capabilities(); }
  std::vector<providers::FieldViolation> Validate(const v1::SandboxSpec& spec) const override {
    return fake_->Validate(spec);
  }
  asio::awaitable<absl::Status> Open(base::BootTime deadline) override {
    return fake_->Open(deadline);
  }
  asio::awaitable<void> Create(std::vector<pb::CreateRequest> requests, base::BootTime deadline,
                               std::function<void(size_t, pb::CreateOutcome)> done) override;
  asio::awaitable<pb::StartOutcome> Start(std::string handle, pb::LaunchRequest launch,
                                          base::BootTime deadline) override;
  asio::awaitable<absl::StatusOr<pb::SandboxView>> Find(std::string name,
                                                        base::BootTime deadline) override {
    return fake_->Find(std::move(name), deadline);
  }
  asio::awaitable<absl::StatusOr<pb::ListPage>> List(std::string cursor,
                                                     base::BootTime deadline) override;
  asio::awaitable<absl::StatusOr<pb::SandboxView>> Inspect(std::string handle,
                                                           base::BootTime deadline) override;
  asio::awaitable<absl::StatusOr<pb::OutputChunk>> ReadOutput(std::string handle,
                                                              std::string exec_id,
                                                              std::string stream, int64_t offset,
                                                              int64_t max_bytes,
                                                              base::BootTime deadline) override {
    return fake_->ReadOutput(handle, exec_id, stream, offset, max_bytes, deadline);
  }
  asio::awaitable<absl::Status> Signal(std::string handle, providers::SignalRequest request,
                                       base::BootTime deadline) override;
  asio::awaitable<absl::Status> Destroy(std::string handle, base::BootTime deadline) override;
  asio::awaitable<absl::Status> Fence(std::string handle, base::BootTime deadline) override;
  void OnHint(std::function<void(providers::ProviderHint)> receiver) override;

 private:
  // Calls of one verb that are on their way, and how many there may be.
  struct Counter {
    const char* verb;
    int bound;
    int now = 0;
  };

  void CheckCreate(const pb::CreateRequest& request);
  void CheckCommand(const DurableSandbox& sandbox, const pb::LaunchRequest& launch);
  static void ForgetLimit(pb::LaunchRequest& launch);
  void CheckStart(const std::string& handle, const pb::LaunchRequest& launch);
  void CheckDestroy(const std::string& handle);
  // Of the task that holds the sandbox; null, and a failure, if none durably does.
  const DurableTask* Holder(const char* verb, const std::string& handle);
  void Enter(Counter& counter, int calls = 1);
  // Completes if the call may leave the process, else never.
  asio::awaitable<void> Leave();
  void Blur(pb::SandboxView& view);
  void Fail(const char* invariant, const std::string& what) { deps_.trace.Fail(invariant, what); }

  const std::shared_ptr<providers::testing::FakeProvider> fake_;
  GuardDeps deps_;
  Draws draws_;
  // Hints that wait in a pipe until the daemon runs again.
  std::shared_ptr<std::vector<providers::ProviderHint>> held_;
  Counter creates_, starts_, looks_, signals_, destroys_;
};

// The name in a handle of the fake.
std::string NameInHandle(const std::string& handle);

}  // namespace boxkeeper::sim
