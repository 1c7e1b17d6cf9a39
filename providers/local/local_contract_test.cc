// The conformance suite on the local provider with the real boxlaunch.
#include "providers/local/testing/local_world.h"
#include "providers/testing/provider_contract.h"

namespace boxkeeper::providers::testing {
namespace {

std::unique_ptr<ProviderUnderTest> NoIsolation() {
  return std::make_unique<local::testing::LocalWorld>();
}

INSTANTIATE_TEST_SUITE_P(Local, ProviderContractTest,
                         ::testing::Values(ContractParam{"none", NoIsolation}), ContractParamName);

}  // namespace
}  // namespace boxkeeper::providers::testing
