// The text that tells the fake cloud what goes wrong: YAML, or JSON as a part of it.
//
//   # every call takes 100 ms; one create in ten answers 503, half of those made the sandbox
//   faults:
//     - {verbs: all, fault: latency, min: 100ms, max: 100ms}
//     - {verbs: [create], fault: status, status: 503, effect: 0.5, probability: 0.1}
//   rate_limit: {per_second: 20, retry_after: 1s}
//
// docs/reliability.md has the whole language.
#pragma once

#include <optional>
#include <string>

#include "absl/status/status.h"
#include "providers/testing/fake_world.h"
#include "providers/testing/fault_options.h"

namespace boxkeeper::providers::testing {

// "create", "read_output", ...
const char* VerbWord(Verb verb);
std::optional<Verb> VerbOfWord(const std::string& word);

// Replaces all faults by those of `text`; what it does not mention is as if nothing went wrong.
// Name, events and spec_keys of the options, and what a world promises (launch mode, unique names),
// stay. kInvalidArgument, naming the key, for what is not understood; nothing is changed then.
absl::Status ApplyFaultScript(const std::string& text, FakeProviderOptions& options,
                              FakeWorldOptions& world);

}  // namespace boxkeeper::providers::testing
