#include "tests/sim/mutations.h"

namespace boxkeeper::sim {
namespace {

constexpr Mutation kMutations[] = {
    {"answer_before_sync", "outputs leave before the batch they depend on is written"},
};

}  // namespace

std::span<const Mutation> Mutations() { return kMutations; }

}  // namespace boxkeeper::sim
