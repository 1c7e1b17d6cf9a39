#include "daemon/wiring/config_options.h"

#include <chrono>
#include <cstdlib>

#include "base/version.h"
#include "providers/registry.h"

namespace boxkeeper::daemon {
namespace {

std::chrono::milliseconds Millis(const google::protobuf::Duration& duration) {
  return std::chrono::seconds(duration.seconds()) +
         std::chrono::duration_cast<std::chrono::milliseconds>(
             std::chrono::nanoseconds(duration.nanos()));
}

std::vector<config::Problem> CheckProvider(const std::string& type,
                                           const google::protobuf::Struct& options) {
  std::vector<config::Problem> problems;
  for (const auto& violation : providers::ValidateProviderConfig(type, options)) {
    problems.push_back({.key = violation.field, .message = violation.description});
  }
  return problems;
}

}  // namespace

config::LoadOptions MakeLoadOptions() {
  config::LoadOptions options;
  options.getenv = [](const char* name) -> const char* { return std::getenv(name); };
  for (const std::string& type : providers::ProviderTypes()) {
    options.providers[type] = [](const std::string&, const std::string& of_type,
                                 const google::protobuf::Struct& section) {
      return CheckProvider(of_type, section);
    };
  }
  return options;
}

CoreOptions MakeCoreOptions(const config::v1::Config& config, const std::string& deployment_id) {
  const config::v1::Scheduling& scheduling = config.scheduling();
  CoreOptions options;
  options.creation_batch_size = static_cast<size_t>(scheduling.creation_batch_size());
  options.creation_batch_wait = Millis(scheduling.creation_batch_wait());
  options.poll_interval = Millis(scheduling.poll_interval());
  options.create_timeout = Millis(scheduling.create_timeout());
  options.start_timeout = Millis(scheduling.start_timeout());
  options.cancel_grace = Millis(scheduling.cancel_grace());
  options.final_drain = Millis(config.logs().final_drain());
  options.outputs_timeout = Millis(config.outputs().timeout());
  options.max_running = scheduling.max_running();
  options.max_queued = scheduling.max_queued();
  options.max_attempts = scheduling.max_attempts();
  options.retry_initial = Millis(scheduling.retry_backoff().initial());
  options.retry_max = Millis(scheduling.retry_backoff().max());
  options.orphan_grace = Millis(scheduling.orphan_grace());
  options.handover_grace = Millis(scheduling.handover_grace());
  options.retention = Millis(scheduling.retention());
  options.unacked_retention = Millis(scheduling.unacked_retention());
  options.dedupe_retention = Millis(scheduling.dedupe_retention());
  for (const config::v1::Provider& provider : config.providers()) {
    ProviderLimits& limits = options.providers[provider.name()];
    limits.max_running = provider.max_running();
    limits.create_concurrency = provider.concurrency().create();
    limits.status_concurrency = provider.concurrency().status();
    limits.cleanup_concurrency = provider.concurrency().cleanup();
    limits.call_timeout = Millis(provider.call_timeout());
  }
  options.default_provider = config.default_provider();
  options.version = base::kVersion;
  options.deployment_id = deployment_id;
  options.state_dir = config.state_dir();
  options.logs_url = config.logs().url();
  return options;
}

providers::CallLimits MakeCallLimits(const config::v1::Provider& provider) {
  providers::CallLimits limits;
  limits.create = provider.concurrency().create();
  limits.status = provider.concurrency().status();
  limits.cleanup = provider.concurrency().cleanup();
  limits.call_timeout = Millis(provider.call_timeout());
  return limits;
}

blobs::BlobLimits MakeBlobLimits(const config::v1::Config& config) {
  const config::v1::Blobs& blobs = config.blobs();
  return {.max_bytes = blobs.max_bytes(),
          .max_blob_bytes = blobs.max_blob_bytes(),
          .ttl = Millis(blobs.ttl())};
}

LogAdapterOptions MakeLogOptions(const config::v1::Config& config) {
  const config::v1::Logs& logs = config.logs();
  LogAdapterOptions options;
  options.spool_dir = config.spool().path();
  options.layout = logs::ParseLayout(logs.layout()).value_or(logs::Layout::kPlain);
  options.max_bytes_per_task = logs.max_bytes_per_task();
  options.spool_max_bytes = config.spool().max_bytes();
  options.overflow = logs.overflow() == "block" ? provider::v1::SpoolPaths::BLOCK
                                                : provider::v1::SpoolPaths::DROP_MIDDLE;
  options.redact = logs.redact();
  options.outputs_max_files = config.outputs().max_files();
  options.outputs_max_bytes = config.outputs().max_bytes();
  options.outputs_timeout = Millis(config.outputs().timeout());
  options.shipper.flush_interval = Millis(logs.flush_interval());
  options.shipper.flush_interval_max = Millis(logs.flush_interval_max());
  options.puller.final_drain = Millis(logs.final_drain());
  return options;
}

std::optional<TlsFiles> MakeTlsFiles(const config::v1::Config& config) {
  if (!config.server().has_tls()) return std::nullopt;
  const config::v1::Tls& tls = config.server().tls();
  return TlsFiles{tls.cert_file(), tls.key_file(), tls.client_ca_file()};
}

}  // namespace boxkeeper::daemon
