// Shell completion, generated from the commands and flags as they are.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace boxkeeper::cli {

struct FlagWords {
  std::vector<std::string> names;   // "-o", "--output"
  std::vector<std::string> values;  // what it may be, if that is a short list
  bool takes_value = false;
  std::string help;
};

struct CommandWords {
  std::string name;
  std::string help;
  std::vector<FlagWords> flags;
  bool takes_tasks = false;            // its arguments are task ids
  std::vector<std::string> arguments;  // what else they may be; empty = files
};

// The script to be sourced. kInvalidArgument for a shell other than bash, zsh and fish.
absl::StatusOr<std::string> CompletionScript(const std::string& shell,
                                             const std::vector<CommandWords>& commands);

}  // namespace boxkeeper::cli
