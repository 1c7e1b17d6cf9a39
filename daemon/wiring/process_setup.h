// What the process must be before it touches a secret or a file.
#pragma once

namespace boxkeeper::daemon {

// Private files (umask 077), no core dumps and no ptrace by others of the same user (a secret must
// be in no core file), SIGPIPE ignored, up to 65536 descriptors. Once, first
// thing in main.
void SetUpProcess();

}  // namespace boxkeeper::daemon
