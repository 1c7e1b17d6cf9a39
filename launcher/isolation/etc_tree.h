// The /etc of sandboxes that see the host's programs.
#pragma once

#include <sys/types.h>

namespace boxkeeper::launcher {

// Makes the directory `name` in `parent` as the /etc of sandboxes that see the host's programs:
// copies of what these need of the host's (linker cache, alternatives, certificates, time zone,
// ...), as far as everyone may read it, and passwd, group and hosts that name nobody of the host.
// False with errno set.
bool MakeEtcTree(int parent, const char* name);

// Copies one regular file; at most 64 MiB. False with errno set.
bool CopyFile(int from_directory, const char* from, int to_directory, const char* to, mode_t mode);

}  // namespace boxkeeper::launcher
