// boxctl: a pure client of the daemon's gRPC API.
#include <cstdlib>
#include <string>
#include <vector>

#include "cli/app.h"
#include "cli/console.h"

int main(int argc, char** argv) {
  // gRPC's own log would stand between a command's output; errors reach the user as ours.
  ::setenv("GRPC_VERBOSITY", "NONE", /*overwrite=*/0);
  const std::vector<std::string> args(argv + 1, argv + argc);
  return boxkeeper::cli::RunBoxctl(args, boxkeeper::cli::RealConsole());
}
