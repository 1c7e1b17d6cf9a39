// A provider in memory on virtual time, with the failures of real ones. The adapter dies with the
// daemon; its FakeWorld (fake_world.h) is the cloud, and lives on.
#pragma once

#include <array>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/rng.h"
#include "providers/provider.h"
#include "providers/testing/fake_world.h"

namespace boxkeeper::providers::testing {

enum class Verb {
  kOpen,
  kCreate,
  kStart,
  kFind,
  kList,
  kInspect,
  kReadOutput,
  kSignal,
  kDestroy,
  kFence,
  kCount
};

// Uniform in [min, max]; with probability `tail` in [max, tail_max] instead.
struct Latency {
  std::chrono::nanoseconds min{0};
  std::chrono::nanoseconds max{0};
  double tail = 0;
  std::chrono::nanoseconds tail_max{0};
};

// An answer that is an error. Without `proves_no_effect` the effect happens all the same with
// `effect_probability`.
struct ErrorFault {
  double probability = 0;
  pb::ErrorClass error_class = pb::TRANSIENT;
  bool proves_no_effect = true;
  double effect_probability = 0.5;
  std::chrono::nanoseconds retry_after{0};
};

struct VerbFaults {
  Latency latency;
  std::vector<ErrorFault> errors;  // drawn in this order
  // The effect happens and its answer does not arrive: half of them wait for the deadline
  // (kDeadlineExceeded), half fail at once (TRANSIENT, no proof).
  double answer_lost = 0;
};

struct FakeProviderOptions {
  std::string name = "fake";
  int page_size = 100;
  double duplicate_row = 0;  // probability that List repeats a row
  bool events = true;
  double hint_lost = 0;
  double hint_with_view = 0.5;  // probability that a hint carries what Inspect would say
  // Probability that a created sandbox is deleted behind our back, at a uniform time up to
  // `vanish_within` later.
  double vanish = 0;
  std::chrono::nanoseconds vanish_within{std::chrono::seconds(10)};
  std::array<VerbFaults, static_cast<size_t>(Verb::kCount)> verbs;
  std::vector<std::string> spec_keys;  // that it honours

  VerbFaults& operator[](Verb verb) { return verbs[static_cast<size_t>(verb)]; }
  // The same for every verb.
  void SetAll(const VerbFaults& faults) { verbs.fill(faults); }
};

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
