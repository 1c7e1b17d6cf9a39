// The conformance suite on the local provider with the real boxlaunch: the same cases without and
// with isolation. Those with it are skipped, with the launcher's reason, where the host lets nobody
// make namespaces.
#include "providers/local/testing/local_world.h"
#include "providers/testing/provider_contract.h"

namespace boxkeeper::providers::testing {
namespace {

using Isolation = local::LocalOptions::Isolation;

std::unique_ptr<ProviderUnderTest> NoIsolation() {
  return std::make_unique<local::testing::LocalWorld>(Isolation::kNone);
}

std::unique_ptr<ProviderUnderTest> Bubblewrap() {
  return std::make_unique<local::testing::LocalWorld>(Isolation::kBubblewrap);
}

INSTANTIATE_TEST_SUITE_P(Local, ProviderContractTest,
                         ::testing::Values(ContractParam{"none", NoIsolation},
                                           ContractParam{"bubblewrap", Bubblewrap}),
                         ContractParamName);

}  // namespace
}  // namespace boxkeeper::providers::testing
