// Which keys of a SandboxSpec a provider has to honour itself, and which of them one cannot.
#pragma once

#include <string>
#include <vector>

#include "boxkeeper/provider/v1/provider.pb.h"
#include "boxkeeper/v1/task.pb.h"
#include "providers/provider.h"

namespace boxkeeper::providers {

// Names of the keys that are set in `spec` and that only a provider can honour, in the order of the
// message. Keys that the daemon or the launch itself serves (timeout, env, workdir, priority, ...)
// are not among them.
std::vector<std::string> ProviderKeysOf(const v1::SandboxSpec& spec);

// One violation per key of ProviderKeysOf that `capabilities.spec_keys` does not declare.
std::vector<FieldViolation> UnhonouredKeys(const v1::SandboxSpec& spec,
                                           const pb::Capabilities& capabilities);

}  // namespace boxkeeper::providers
