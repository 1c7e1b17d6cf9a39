#include "daemon/wiring/log_store.h"

#include "absl/strings/str_cat.h"
#include "logs/file_store.h"

namespace boxkeeper::daemon {

absl::StatusOr<std::unique_ptr<logs::ObjectStore>> MakeLogStore(const config::v1::Logs& logs,
                                                                LogStoreDeps deps) {
  return logs::FileStore::Create({deps.files, deps.pool}, logs.url());
}

std::string LocalLogsWarning(const config::v1::Config& config) {
  const std::string folder = config.state_dir() + "/logs";
  if (config.logs().url() != "file://" + folder) return "";
  return absl::StrCat("logs stay on this machine, in ", folder,
                      ": logs.url of the configuration names no other place");
}

}  // namespace boxkeeper::daemon
