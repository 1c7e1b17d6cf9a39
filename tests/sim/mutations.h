// Realistic bugs that stand in the real code behind base::Mutated; each must be found.
#pragma once

#include <span>

namespace boxkeeper::sim {

struct Mutation {
  const char* name;
  const char* what;  // the bug, in a line
};

std::span<const Mutation> Mutations();

}  // namespace boxkeeper::sim
