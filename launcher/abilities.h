// What a launcher can do on its host, found out once when it starts; told to each client.
#pragma once

#include <string>
#include <string_view>

namespace boxkeeper::launcher {

// How one thing can be done here; `how` "" = it cannot, and `why_not` says in words what is
// lacking.
struct Ability {
  std::string how;
  std::string why_not;

  bool can() const { return !how.empty(); }
  friend bool operator==(const Ability&, const Ability&) = default;
};

struct Abilities {
  Ability bubblewrap;  // how: the program's path
  // Limits: "cgroup2", "cgroup1", "rlimit" (memory, of each process), "tmpfs" (disk).
  Ability cpu;
  Ability memory;
  Ability pids;
  Ability disk;

  friend bool operator==(const Abilities&, const Abilities&) = default;
};

std::string Encode(const Abilities& abilities);
// Fields that are missing (an older launcher) cannot be done: why_not says so.
bool Decode(std::string_view payload, Abilities* abilities);

}  // namespace boxkeeper::launcher
