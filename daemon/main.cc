// boxkeeperd. See docs/operations.md.
#include <cstdio>
#include <string>
#include <utility>
#include <variant>

#include "base/log.h"
#include "config/load_config.h"
#include "daemon/wiring/check_connect.h"
#include "daemon/wiring/config_options.h"
#include "daemon/wiring/daemon.h"
#include "daemon/wiring/flags.h"
#include "daemon/wiring/process_setup.h"

namespace boxkeeper::daemon {
namespace {

int SayMistakes(const std::vector<std::string>& mistakes) {
  for (const std::string& mistake : mistakes) std::fprintf(stderr, "%s\n", mistake.c_str());
  return kExitBadConfiguration;
}

base::LogOptions LoggingOf(const config::v1::Config& config) {
  base::LogOptions options;
  options.level = base::ParseLogLevel(config.log().level()).value_or(base::LogLevel::kInfo);
  options.format = base::ParseLogFormat(config.log().format()).value_or(base::LogFormat::kAuto);
  return options;
}

int Main(int argc, char** argv) {
  SetUpProcess();
  const auto parsed = ParseFlags(argc, argv);
  if (const int* exit_code = std::get_if<int>(&parsed)) return *exit_code;
  const Flags& flags = std::get<Flags>(parsed);

  const config::LoadOptions options = MakeLoadOptions();
  config::LoadResult loaded = flags.config.empty() ? config::EmbeddedDefaults(options)
                                                   : config::LoadConfig(flags.config, options);
  if (!loaded.ok()) return SayMistakes(loaded.Messages());
  if (auto mistakes = CheckSecurityFiles(loaded.config); !mistakes.empty()) {
    return SayMistakes(mistakes);
  }
  if (flags.check_config) {
    if (flags.connect && !CheckConnections(loaded.config, flags.launcher)) {
      return kExitBadConfiguration;
    }
    std::printf("%s: good\n", flags.config.empty() ? "embedded defaults" : flags.config.c_str());
    return 0;
  }
  const base::Logging logging(LoggingOf(loaded.config));
  Daemon daemon({std::move(loaded.config), flags.config, flags.launcher});
  return daemon.Run();
}

}  // namespace
}  // namespace boxkeeper::daemon

int main(int argc, char** argv) { return boxkeeper::daemon::Main(argc, argv); }
