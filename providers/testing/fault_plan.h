// Decides what becomes of each call to the fake cloud.
#pragma once

#include <deque>
#include <optional>
#include <string>

#include "base/clock.h"
#include "base/rng.h"
#include "providers/testing/fake_world.h"
#include "providers/testing/fault_options.h"

namespace boxkeeper::providers::testing {

// What will become of one call.
struct FaultPlan {
  bool effect = true;
  base::BootTime effect_at;
  base::BootTime answer_at;  // max() = never
  // What an adapter makes of the answer; none: the answer is the effect's.
  std::optional<pb::ProviderError> error;
  // How the answer looks on the wire.
  FaultKind kind = FaultKind::kAnswer;
  int http_status = 0;  // of kAnswer with `error`
};

// Draws from `options`, which may change between calls. On one thread; all outlive it.
class FaultPlanner {
 public:
  FaultPlanner(const base::Clock& clock, base::Rng& rng, FakeProviderOptions& options)
      : clock_(clock), rng_(rng), options_(options) {}

  FaultPlan Plan(Verb verb);

  bool Draw(double probability) { return probability > 0 && rng_.Unit() < probability; }
  std::chrono::nanoseconds Between(std::chrono::nanoseconds low, std::chrono::nanoseconds high);
  // What an adapter sees of `view`: now and then in a state that it does not know.
  pb::SandboxView Seen(pb::SandboxView view);

 private:
  bool AboveRate(Verb verb);
  void Apply(const ErrorFault& fault, FaultPlan& plan);

  const base::Clock& clock_;
  base::Rng& rng_;
  FakeProviderOptions& options_;
  std::deque<base::BootTime> accepted_;  // within the last second
};

// One page of the list, with the rows and pages that come twice. The cursor is the name of the last
// row.
pb::ListPage ListOnePage(FakeWorld& world, FaultPlanner& faults, const FakeProviderOptions& options,
                         const std::string& cursor);

// The status that stands for a class where a fault names none.
int HttpStatusOf(pb::ErrorClass error_class);

}  // namespace boxkeeper::providers::testing
