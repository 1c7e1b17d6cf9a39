#include "config/schema.h"

#include <algorithm>

namespace boxkeeper::config {
namespace {

constexpr bool kReload = true;
constexpr bool kRestart = false;

constexpr SchemaKey Section(std::string_view path) {
  return {path, KeyType::kSection, "", "", "", "", kRestart};
}
constexpr SchemaKey Text(std::string_view path, std::string_view def, bool reload) {
  return {path, KeyType::kText, def, "", "", "", reload};
}
constexpr SchemaKey Path(std::string_view path, std::string_view def, bool reload) {
  return {path, KeyType::kPath, def, "", "", "", reload};
}
constexpr SchemaKey Choice(std::string_view path, std::string_view def, std::string_view choices,
                           bool reload) {
  return {path, KeyType::kChoice, def, "", "", choices, reload};
}
constexpr SchemaKey Whole(std::string_view path, std::string_view def, std::string_view min,
                          std::string_view max, bool reload) {
  return {path, KeyType::kWhole, def, min, max, "", reload};
}
constexpr SchemaKey Time(std::string_view path, std::string_view def, std::string_view min,
                         std::string_view max, bool reload) {
  return {path, KeyType::kDuration, def, min, max, "", reload};
}
constexpr SchemaKey Size(std::string_view path, std::string_view def, std::string_view min,
                         std::string_view max, bool reload) {
  return {path, KeyType::kSize, def, min, max, "", reload};
}

constexpr SchemaKey kSchema[] = {
    Path("state_dir", "", kRestart),
    Section("deployment"),
    Text("deployment.id", "", kRestart),
    Path("deployment.key_file", "identity/key", kRestart),
    Section("server"),
    {"server.listen", KeyType::kOneOrMore, "127.0.0.1:7433", "", "", "", kRestart},
    Section("server.tls"),
    Path("server.tls.cert_file", "", kRestart),
    Path("server.tls.key_file", "", kRestart),
    Path("server.tls.client_ca_file", "", kRestart),
    Section("server.auth"),
    Path("server.auth.tokens_file", "", kRestart),
    Section("http"),
    Text("http.listen", "127.0.0.1:7434", kRestart),
    Section("store"),
    Section("store.sqlite"),
    Path("store.sqlite.path", "state.db", kRestart),
    Section("logs"),
    Text("logs.url", "", kRestart),
    Choice("logs.layout", "plain", "plain airflow metaflow", kReload),
    Size("logs.max_bytes_per_task", "10GiB", "0B", "16TiB", kReload),
    Choice("logs.overflow", "drop_middle", "drop_middle block", kReload),
    Time("logs.flush_interval", "2s", "10ms", "1h", kReload),
    Time("logs.flush_interval_max", "30s", "10ms", "1h", kReload),
    Time("logs.final_drain", "10s", "0s", "10m", kReload),
    {"logs.redact", KeyType::kBool, "true", "", "", "", kReload},
    Section("logs.s3"),
    Text("logs.s3.endpoint", "", kRestart),
    Text("logs.s3.region", "", kRestart),
    {"logs.s3.path_style", KeyType::kBool, "false", "", "", "", kRestart},
    Path("logs.s3.access_key_file", "", kRestart),
    Path("logs.s3.secret_key_file", "", kRestart),
    Text("logs.s3.profile", "", kRestart),
    Section("logs.gcs"),
    Path("logs.gcs.credentials_file", "", kRestart),
    Text("logs.gcs.endpoint", "", kRestart),
    Section("logs.azure"),
    Text("logs.azure.account", "", kRestart),
    Path("logs.azure.key_file", "", kRestart),
    Path("logs.azure.sas_file", "", kRestart),
    Text("logs.azure.endpoint", "", kRestart),
    Section("spool"),
    Path("spool.path", "spool", kRestart),
    Size("spool.max_bytes", "20GiB", "1MiB", "1PiB", kReload),
    Section("outputs"),
    Whole("outputs.max_files", "1000", "1", "10000", kReload),
    Size("outputs.max_bytes", "1GiB", "0B", "1TiB", kReload),
    Time("outputs.timeout", "60s", "1s", "1h", kReload),
    Section("blobs"),
    Path("blobs.path", "blobs", kRestart),
    Size("blobs.max_bytes", "10GiB", "0B", "1PiB", kReload),
    Size("blobs.max_blob_bytes", "1GiB", "0B", "1TiB", kReload),
    Time("blobs.ttl", "24h", "1m", "8760h", kReload),
    Section("scheduling"),
    Whole("scheduling.creation_batch_size", "8", "1", "1000", kReload),
    Time("scheduling.creation_batch_wait", "5ms", "0s", "10s", kReload),
    Time("scheduling.poll_interval", "5s", "10ms", "1h", kReload),
    Time("scheduling.inspect_interval", "5s", "10ms", "1h", kReload),
    Time("scheduling.default_timeout", "0s", "0s", "8760h", kReload),
    Time("scheduling.create_timeout", "120s", "1s", "1h", kReload),
    Time("scheduling.start_timeout", "60s", "1s", "1h", kReload),
    Time("scheduling.cancel_grace", "10s", "0s", "1h", kReload),
    Whole("scheduling.max_running", "1000", "1", "1000000", kReload),
    Whole("scheduling.max_queued", "100000", "1", "10000000", kReload),
    Whole("scheduling.max_attempts", "3", "1", "100", kReload),
    Section("scheduling.retry_backoff"),
    Time("scheduling.retry_backoff.initial", "1s", "1ms", "1h", kReload),
    Time("scheduling.retry_backoff.max", "60s", "1ms", "24h", kReload),
    Time("scheduling.orphan_grace", "60s", "0s", "24h", kReload),
    Time("scheduling.handover_grace", "20s", "0s", "1h", kReload),
    Time("scheduling.max_keep", "1h", "0s", "168h", kReload),
    Time("scheduling.retention", "24h", "0s", "8760h", kReload),
    Time("scheduling.unacked_retention", "168h", "0s", "8760h", kReload),
    Time("scheduling.dedupe_retention", "168h", "0s", "8760h", kReload),
    Text("default_provider", "", kReload),
    {"providers", KeyType::kProviders, "", "", "", "", kRestart},
    Section("providers.*"),
    Text("providers.*.type", "", kRestart),
    Whole("providers.*.max_running", "0", "0", "1000000", kReload),
    Section("providers.*.concurrency"),
    Whole("providers.*.concurrency.create", "32", "1", "10000", kReload),
    Whole("providers.*.concurrency.status", "128", "1", "10000", kReload),
    Whole("providers.*.concurrency.cleanup", "32", "1", "10000", kReload),
    Time("providers.*.call_timeout", "30s", "100ms", "1h", kReload),
    {"profiles", KeyType::kSpecMap, "", "", "", "", kReload},
    Section("secrets"),
    {"secrets.allow_env", KeyType::kTextList, "", "", "", "", kReload},
    {"secrets.allow_files", KeyType::kTextList, "", "", "", "", kReload},
    Section("log"),
    Choice("log.level", "info", "debug info warning error", kReload),
    Choice("log.format", "auto", "text json auto", kRestart),
};

}  // namespace

std::span<const SchemaKey> Schema() { return kSchema; }

const SchemaKey* FindKey(std::string_view path) {
  for (const SchemaKey& key : kSchema) {
    if (key.path == path) return &key;
  }
  return nullptr;
}

std::vector<std::string> KeysBelow(std::string_view path) {
  std::vector<std::string> names;
  for (const SchemaKey& key : kSchema) {
    std::string_view rest = key.path;
    if (!path.empty()) {
      if (rest.size() <= path.size() || rest.substr(0, path.size()) != path ||
          rest[path.size()] != '.') {
        continue;
      }
      rest.remove_prefix(path.size() + 1);
    }
    if (rest.find('.') == std::string_view::npos && rest != "*") names.emplace_back(rest);
  }
  std::sort(names.begin(), names.end());
  return names;
}

}  // namespace boxkeeper::config
