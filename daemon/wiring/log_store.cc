#include "daemon/wiring/log_store.h"

#include <utility>

#include "absl/strings/str_cat.h"

namespace boxkeeper::daemon {

absl::StatusOr<std::unique_ptr<logs::ObjectStore>> MakeLogStore(const config::v1::Logs& section,
                                                                logs::StoreDeps deps) {
  const config::v1::S3& s3 = section.s3();
  const config::v1::Gcs& gcs = section.gcs();
  const config::v1::Azure& azure = section.azure();
  logs::StoreOptions options{
      .url = section.url(),
      .s3 = {.url = section.url(),
             .endpoint = s3.endpoint(),
             .region = s3.region(),
             .path_style = s3.path_style(),
             .access_key_file = s3.access_key_file(),
             .secret_key_file = s3.secret_key_file(),
             .profile = s3.profile()},
      .gcs = {.credentials_file = gcs.credentials_file(), .endpoint = gcs.endpoint()},
      .azure = {.account = azure.account(),
                .key_file = azure.key_file(),
                .sas_file = azure.sas_file(),
                .endpoint = azure.endpoint()}};
  return logs::OpenStore(std::move(deps), std::move(options));
}

std::string LocalLogsWarning(const config::v1::Config& config) {
  const std::string folder = config.state_dir() + "/logs";
  if (config.logs().url() != "file://" + folder) return "";
  return absl::StrCat("logs stay on this machine, in ", folder,
                      ": logs.url of the configuration names no other place");
}

}  // namespace boxkeeper::daemon
