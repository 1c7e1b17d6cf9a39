// bwrap's arguments.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/core/unique_fd.h"
#include "launcher/account.h"
#include "launcher/isolation/host.h"
#include "launcher/launch_spec.h"

namespace boxkeeper::launcher {

// Paths inside a sandbox.
inline constexpr char kInsideWork[] = "/work";
inline constexpr char kInsideRun[] = "/run";  // in memory
inline constexpr char kInsideInit[] = "/run/boxkeeper/init";

// One sandbox to be set up. Descriptors are inherited by bwrap under their own numbers.
struct BubblewrapRequest {
  const IsolationHost* host = nullptr;
  const IsolationSpec* isolation = nullptr;
  Account account;
  std::string work_path;    // of the host, writable for `account`
  uint64_t disk_bytes = 0;  // 0 = the work directory is the host's, and /tmp has a default size
  int filter = -1;          // see IsolationHost::OpenFilter
  std::vector<base::UniqueFd> volumes;  // opened by OpenVolumes, in order
};

// Opens the sources of the spec's volumes below what each must stay beneath. False with `error`.
bool OpenVolumes(const IsolationSpec& isolation, std::vector<base::UniqueFd>* volumes,
                 std::string* error);

// The whole command line, up to and with "--" and the init's path. False with `error` when the
// image's root cannot be read.
bool BubblewrapArguments(const BubblewrapRequest& request, std::vector<std::string>* argv,
                         std::string* error);

}  // namespace boxkeeper::launcher
