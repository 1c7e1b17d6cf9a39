// Submissions -> prepared tasks: everything that can be checked without the core's state is checked
// here, on a gRPC thread.
#pragma once

#include <memory>
#include <string>

#include "boxkeeper/config/v1/config.pb.h"
#include "boxkeeper/v1/task.pb.h"
#include "daemon/submit/prepared_task.h"
#include "daemon/submit/secret_keeper.h"
#include "daemon/submit/secret_sources.h"
#include "providers/provider.h"

namespace boxkeeper::daemon {

// Everything Prepare looks at besides the submission. Immutable; a reload makes a new one.
struct PrepareContext {
  std::shared_ptr<const config::v1::Config> config;
  const providers::ProviderRegistry* providers = nullptr;  // outlives every call; never changed
  const SecretKeeper* keeper = nullptr;                    // outlives every call
  SecretSource read_env;
  SecretSource read_file;
};

// With the process's own environment and files as sources of secrets.
PrepareContext MakePrepareContext(std::shared_ptr<const config::v1::Config> config,
                                  const providers::ProviderRegistry& providers,
                                  const SecretKeeper& keeper);

// Validates all of `spec`; on any mistake the result carries every violation, with paths relative
// to the item ("task" = the item as a whole). `submission_id` and `digest` are set even then, where
// the id is a UUID: a repeat of a task that was accepted under an older configuration can still be
// recognised. The sealed box's associated data are the 16 bytes of the submission id. Thread-safe;
// touches nothing but the sources of secrets that `spec` refers to.
PreparedTask Prepare(const v1::TaskSpec& spec, const PrepareContext& context);

}  // namespace boxkeeper::daemon
