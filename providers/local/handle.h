// How a local sandbox is found again. Text "local1:<boot id>:<sandbox name>": no secret, and
// another boot's is told at sight.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace boxkeeper::providers::local {

struct LocalHandle {
  std::string boot_id;  // of the boot in which the sandbox was made
  std::string name;     // the sandbox's; also its id at the launcher

  std::string ToString() const;
  // nullopt unless `text` is what ToString gives.
  static std::optional<LocalHandle> Parse(std::string_view text);

  friend bool operator==(const LocalHandle&, const LocalHandle&) = default;
};

}  // namespace boxkeeper::providers::local
