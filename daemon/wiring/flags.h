// boxkeeperd's command line (design section 8).
#pragma once

#include <string>
#include <variant>

namespace boxkeeper::daemon {

struct Flags {
  std::string config;  // "" = embedded defaults
  bool check_config = false;
  bool connect = false;  // with check_config
  std::string launcher;  // "" = search
};

// The flags, or the exit code where the answer was already printed (--help, --version: 0; bad
// usage: 2).
std::variant<Flags, int> ParseFlags(int argc, char** argv);

}  // namespace boxkeeper::daemon
