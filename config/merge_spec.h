// The one place where a task's SandboxSpec is put together.
#pragma once

#include <string>
#include <vector>

#include "boxkeeper/config/v1/config.pb.h"
#include "boxkeeper/v1/task.pb.h"
#include "config/spec_decoder.h"
#include "config/value.h"

namespace boxkeeper::config {

// nullptr if no provider has this name.
const v1::Provider* FindProvider(const v1::Config& config, const std::string& name);

// Who may run the task, in order: `override`'s `provider`, else its profile's, else
// default_provider; "auto" = every configured provider in the file's order. Unknown names (of the
// profile too) become problems at "sandbox_override.provider" or "sandbox_override.profile";
// nothing is returned then.
std::vector<const v1::Provider*> CandidateProviders(const v1::Config& config,
                                                    const SpecLayer& override_layer,
                                                    std::vector<Problem>* problems);

// daemon defaults <- provider <- profile <- override. A later layer's key replaces an earlier
// one's; `env` and `provider_options` merge by key, `log` by its keys. The result is whole:
// `provider` is the one name given; absent `timeout` = none, `grace` and `log.layout` are set. The
// profile that `override_layer` names must exist.
::boxkeeper::v1::SandboxSpec MergeSpec(const v1::Config& config, const v1::Provider& provider,
                                       const SpecLayer& override_layer);

// Which layer gave the merged spec its `key`.
enum class SpecLayerName { kDaemon, kProvider, kProfile, kOverride };
SpecLayerName LayerOf(const std::string& key, const v1::Config& config,
                      const v1::Provider& provider, const SpecLayer& override_layer);

}  // namespace boxkeeper::config
