// A YAML file -> the validated configuration, with every mistake of the file at once.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "boxkeeper/config/v1/config.pb.h"
#include "config/value.h"

namespace boxkeeper::config {

// A provider's own check of its section. `options` are the keys of `providers.<name>` that are
// neither common (type, max_running, concurrency, call_timeout) nor SandboxSpec keys. Each
// problem's `key` is a path below the section, e.g. "isolation" or "allow_host_paths[1]"; its line
// is found by the loader. Unknown keys are its to refuse.
using ProviderSectionValidator = std::function<std::vector<Problem>(
    const std::string& name, const std::string& type, const google::protobuf::Struct& options)>;

struct LoadOptions {
  // By type: the types that exist. main fills it.
  std::map<std::string, ProviderSectionValidator> providers;
  // The process's environment, for the default state directory; nullptr result = unset.
  std::function<const char*(const char*)> getenv;
  // Files that the configuration names (certificates, tokens) must be readable now.
  bool check_files = true;
};

// Either a whole configuration or at least one mistake.
struct LoadResult {
  v1::Config config;  // meaningless with mistakes
  std::string file;
  std::vector<Problem> problems;  // in order of line

  bool ok() const { return problems.empty(); }
  // One line a mistake: "file:line: key: what, and what is allowed".
  std::vector<std::string> Messages() const;
};

// Reads and validates `path`. A file that cannot be read is one mistake. An empty file is all
// defaults.
LoadResult LoadConfig(const std::string& path, const LoadOptions& options);
// The same for text; `file` is only for messages.
LoadResult LoadConfigText(const std::string& text, const std::string& file,
                          const LoadOptions& options);

// Without --config: local provider with `isolation: auto, allow_degraded: true`, SQLite and file://
// logs under $STATE_DIRECTORY, else $XDG_STATE_HOME/boxkeeper, else ~/.local/state/boxkeeper; gRPC
// 127.0.0.1:7433, HTTP 127.0.0.1:7434. Its only mistake: none of the three variables (nor HOME) is
// set.
LoadResult EmbeddedDefaults(const LoadOptions& options);

struct ReloadDiff {
  std::vector<std::string> changed;  // keys that differ and can be in force at once
  std::vector<std::string>
      needs_restart;  // keys that differ and keep their old value until a restart
};
// Both sorted; keys as in docs/configuration.md, with the names filled in
// ("providers.local.max_running").
ReloadDiff DiffForReload(const v1::Config& old_config, const v1::Config& new_config);
// `new_config` with the values of `old_config` in every key that needs a restart: what is in force
// after SIGHUP.
v1::Config ApplyReload(const v1::Config& old_config, const v1::Config& new_config);

}  // namespace boxkeeper::config
