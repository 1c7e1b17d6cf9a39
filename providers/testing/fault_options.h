// What goes wrong in the fake cloud. One set of options for the model in memory (fake_provider.h)
// and for the HTTP server (providers/fakecloud); fault_script.h reads them from text.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

#include "boxkeeper/provider/v1/provider.pb.h"

namespace boxkeeper::providers::testing {

namespace pb = ::boxkeeper::provider::v1;

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

// How an answer goes wrong. What only exists on a wire acts in the model as the error that an
// adapter makes of it (second column).
enum class FaultKind {
  kAnswer,   // an error status: its class
  kHang,     // nothing comes: the deadline
  kDrip,     // a byte now and then: the deadline
  kReset,    // the connection is reset instead of an answer: TRANSIENT, no proof
  kCut,      // half of the body, then the connection closes: the same
  kHtml,     // 200 with a page of HTML: PROTOCOL, no proof
  kGarbage,  // 200 with JSON that is broken or far too deep: the same
  kHuge,     // 200 with 10 MB of JSON: the same
};

// An answer that is an error. Without `proves_no_effect` the effect happens all the same with
// `effect_probability`.
struct ErrorFault {
  double probability = 0;
  pb::ErrorClass error_class = pb::TRANSIENT;
  bool proves_no_effect = true;
  double effect_probability = 0.5;
  std::chrono::nanoseconds retry_after{0};
  FaultKind kind = FaultKind::kAnswer;  // others: `error_class` and the proof follow from it
  int http_status = 0;                  // of kAnswer on the wire; 0 = by `error_class`
  int64_t count = -1;                   // how many times at most; -1 = no bound. Counted down
};

struct VerbFaults {
  Latency latency;
  std::vector<ErrorFault> errors;  // drawn in this order
  // The effect happens and its answer does not arrive: half of them wait for the deadline
  // (kDeadlineExceeded), half fail at once (TRANSIENT, no proof).
  double answer_lost = 0;
};

// Above `per_second` accepted calls within any second the rest is RATE, with proof.
struct RateLimit {
  double per_second = 0;                    // 0 = none
  std::chrono::nanoseconds retry_after{0};  // 0 = not said
  std::vector<Verb> verbs = {};             // that count, and are refused; empty = all
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
  double duplicate_page = 0;           // probability that List gives the same page once more
  double unknown_state = 0;            // probability that a view has a state word that nobody knows
  RateLimit rate_limit;

  VerbFaults& operator[](Verb verb) { return verbs[static_cast<size_t>(verb)]; }
  // The same for every verb.
  void SetAll(const VerbFaults& faults) { verbs.fill(faults); }
};

}  // namespace boxkeeper::providers::testing
