// boxctl: a pure client of the daemon's gRPC API.
#include <string>
#include <vector>

#include "cli/app.h"
#include "cli/console.h"

int main(int argc, char** argv) {
  const std::vector<std::string> args(argv + 1, argv + argc);
  return boxkeeper::cli::RunBoxctl(args, boxkeeper::cli::RealConsole());
}
