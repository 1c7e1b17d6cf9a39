#include "daemon/wiring/flags.h"

#include <CLI/CLI.hpp>
#include <cstdio>

#include "base/version.h"

namespace boxkeeper::daemon {
namespace {

constexpr int kUsage = 2;

}  // namespace

std::variant<Flags, int> ParseFlags(int argc, char** argv) {
  Flags flags;
  bool version = false;
  CLI::App app("Boxkeeper: runs schedulers' tasks in sandboxes.", "boxkeeperd");
  app.add_option("--config", flags.config,
                 "Configuration file (YAML). Without it: a local provider under $STATE_DIRECTORY, "
                 "$XDG_STATE_HOME/boxkeeper or ~/.local/state/boxkeeper.");
  auto* check = app.add_flag("--check_config", flags.check_config,
                             "Check the configuration, print every mistake, and exit: 0 or 2.");
  app.add_flag("--connect", flags.connect,
               "With --check_config: also reach the providers and the log store.")
      ->needs(check);
  app.add_option("--launcher", flags.launcher,
                 "Path of boxlaunch. Default: in the build tree, beside boxkeeperd, or on PATH.");
  app.add_flag("--version", version, "Print the version and exit.");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : kUsage;
  }
  if (version) {
    std::printf("boxkeeperd %s\n", base::kVersion);
    return 0;
  }
  return flags;
}

}  // namespace boxkeeper::daemon
