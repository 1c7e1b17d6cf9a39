// The one strict decoder of SandboxSpec keys: provider sections and profiles of the configuration,
// and the `sandbox_override` of a submission.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "boxkeeper/config/v1/config.pb.h"
#include "config/value.h"

namespace boxkeeper::config {

using SpecLayer = ::boxkeeper::config::v1::SpecLayer;

// Where the keys stand; some make sense only in some places.
enum class SpecPlace {
  kProvider,  // not: provider, profile, start_deadline, priority
  kProfile,   // not: profile, start_deadline
  kOverride,  // all
};

// True for every key of the design's SandboxSpec, also for those this version refuses.
bool IsSpecKey(std::string_view key);
// The keys that can be set in `place`, sorted.
std::vector<std::string> SpecKeys(SpecPlace place);

// Decodes all of `map`. Every mistake (unknown key, wrong type, out of range, not supported by this
// version, not allowed in this place) is appended to `problems` with `path` before its key; keys
// without a mistake are in the result. Whether named profiles and providers exist is MergeSpec's to
// say. Any thread.
SpecLayer DecodeSpec(const Value& map, const std::string& path, SpecPlace place,
                     std::vector<Problem>* problems);

// The names rule of environment variables: [A-Za-z_][A-Za-z0-9_.-]*, at most 256, without the
// reserved BOXKEEPER_ prefix. Empty = fine, else what is wrong and what is allowed.
std::string CheckEnvName(const std::string& name);

}  // namespace boxkeeper::config
