// Adds the type `fakecloud` to a binary that links this: a test build of the daemon, never
// boxkeeperd itself (the target is testonly).
#include "base/rng.h"
#include "base/status_macros.h"
#include "providers/fakecloud/fakecloud_provider.h"
#include "providers/fakecloud/options.h"
#include "providers/registry.h"

namespace boxkeeper::providers::fakecloud {
namespace {

absl::StatusOr<std::shared_ptr<Provider>> Make(const std::string& name,
                                               const google::protobuf::Struct& section,
                                               const ProviderDeps& deps) {
  ASSIGN_OR_RETURN(const FakeCloudOptions options, ParseFakeCloudOptions(section));
  return MakeFakeCloudProvider({deps.executor, deps.clock, base::MakeSystemRng()}, name, options,
                               CallRunnerOptions());
}

[[maybe_unused]] const bool kRegistered =
    RegisterProviderType("fakecloud", {&ValidateFakeCloudConfig, &Make});

}  // namespace
}  // namespace boxkeeper::providers::fakecloud
