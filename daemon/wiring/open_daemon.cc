// The part of Daemon that runs before the loop: opens what the state directory and the
// configuration name.
#include <filesystem>

#include "absl/strings/str_cat.h"
#include "base/log.h"
#include "base/status_macros.h"
#include "daemon/wiring/config_options.h"
#include "daemon/wiring/daemon.h"
#include "daemon/wiring/log_store.h"
#include "providers/registry.h"

namespace boxkeeper::daemon {
namespace {

constexpr char kSealCredential[] = "boxkeeper.seal";

// A key that systemd hands over (LoadCredential=), else our own beside the deployment's.
base::SealerOptions SealerKey(const std::string& state_dir) {
  base::SealerOptions options;
  if (const char* credentials = std::getenv("CREDENTIALS_DIRECTORY")) {
    options.key_file = absl::StrCat(credentials, "/", kSealCredential);
    if (std::filesystem::exists(options.key_file)) {
      options.must_exist = true;
      return options;
    }
  }
  options.key_file = state_dir + "/identity/seal";
  return options;
}

}  // namespace

absl::Status Daemon::OpenState() {
  RETURN_IF_ERROR(files_->MakeDirectories(config_->state_dir(), 0700));
  ASSIGN_OR_RETURN(lock_, store::StateLock::Acquire(*files_, config_->state_dir()));
  RETURN_IF_ERROR(OpenIdentity());
  RETURN_IF_ERROR(OpenStore());
  RETURN_IF_ERROR(OpenProviders());
  RETURN_IF_ERROR(OpenLogs());
  RETURN_IF_ERROR(OpenBlobs());
  return OpenCore();
}

absl::Status Daemon::OpenIdentity() {
  base::DeploymentOptions options;
  options.state_dir = config_->state_dir();
  options.id = config_->deployment().id();
  options.key_file = config_->deployment().key_file();
  ASSIGN_OR_RETURN(deployment_, base::Deployment::LoadOrCreate(*files_, *rng_, options));
  ASSIGN_OR_RETURN(sealer_,
                   base::Sealer::Create(*files_, *sealing_rng_, SealerKey(config_->state_dir())));
  naming_ = std::make_unique<DeploymentNaming>(*deployment_);
  secrets_ = std::make_unique<SealerSecretKeeper>(*sealer_);
  return absl::OkStatus();
}

absl::Status Daemon::OpenStore() {
  store::ThreadedTaskStoreOptions options;
  options.log.path = config_->store().sqlite().path();
  const std::string folder = std::filesystem::path(options.log.path).parent_path().string();
  RETURN_IF_ERROR(files_->MakeDirectories(folder, 0700));
  auto opened = store::ThreadedTaskStore::Create(*files_, std::move(options));
  if (!opened.ok()) {
    // Another daemon or a newer schema is no failure of the storage.
    if (!absl::IsFailedPrecondition(opened.status())) exit_code_ = kExitStorageFailed;
    return opened.status();
  }
  store_ = *std::move(opened);
  measured_store_ = std::make_unique<MeasuredTaskStore>(*store_, *clock_, metrics_);
  return absl::OkStatus();
}

absl::Status Daemon::OpenProviders() {
  providers::ProviderDeps deps{.executor = loop_.get_executor(),
                               .clock = *clock_,
                               .state_dir = config_->state_dir(),
                               .launcher_path = options_.launcher_path};
  for (const config::v1::Provider& section : config_->providers()) {
    ASSIGN_OR_RETURN(auto provider, providers::MakeProvider(section.name(), section.type(),
                                                            section.options(), deps));
    provider->SetLimits(MakeCallLimits(section));
    for (const std::string& warning : provider->warnings()) {
      base::LogWarning("provider", {{"provider", section.name()}, {"warning", warning}});
    }
    providers_[section.name()] = std::move(provider);
  }
  return absl::OkStatus();
}

absl::Status Daemon::OpenLogs() {
  RETURN_IF_ERROR(files_->MakeDirectories(config_->spool().path(), 0700));
  logs::StoreDeps deps{*clock_, *rng_, *files_, loop_.get_executor(), pool_.get_executor()};
  ASSIGN_OR_RETURN(log_store_, MakeLogStore(config_->logs(), std::move(deps)));
  return absl::OkStatus();
}

absl::Status Daemon::OpenBlobs() {
  blobs::BlobStore::Deps deps{*clock_, *rng_, *files_, pool_.get_executor()};
  blobs_ = std::make_unique<blobs::BlobStore>(std::move(deps), config_->blobs().path(),
                                              MakeBlobLimits(*config_));
  return blobs_->Open();
}

absl::Status Daemon::OpenCore() {
  prepare_ =
      std::make_shared<const PrepareContext>(MakePrepareContext(config_, providers_, *secrets_));
  CoreDeps deps{
      .executor = loop_.get_executor(),
      .clock = *clock_,
      .rng = *rng_,
      .store = *measured_store_,
      .providers = providers_,
      .naming = *naming_,
      .metrics = metrics_,
      .unseal =
          [this](const std::string& box, const base::SubmissionId& submission) {
            return Unseal(*sealer_, box, submission);
          },
      .fatal = [](absl::Status status) { LeaveStorageFailed(status); },
      .decorate_status = [this](v1::GetStatusResponse& status) { DecorateStatus(status); },
      .decorate_capacity = [this](v1::GetCapacityResponse& out) { DecorateCapacity(out); }};
  ASSIGN_OR_RETURN(core_,
                   Core::Create(std::move(deps), MakeCoreOptions(*config_, deployment_->id())));
  LogAdapterDeps log_deps{.clock = *clock_,
                          .rng = *rng_,
                          .files = *files_,
                          .store = *log_store_,
                          .events = *core_,
                          .metrics = metrics_,
                          .loop = loop_.get_executor(),
                          .pool = pool_.get_executor(),
                          .fatal = [](absl::Status status) { LeaveStorageFailed(status); }};
  logs_ = std::make_unique<LogAdapter>(std::move(log_deps), MakeLogOptions(*config_));
  core_->SetBlobPins(blobs_.get());
  core_->SetLogPort(logs_.get());
  return absl::OkStatus();
}

void Daemon::DecorateCapacity(v1::GetCapacityResponse& capacity) const {
  const blobs::BlobLimits& limits = blobs_->limits();
  capacity.set_max_blob_bytes(std::min(limits.max_blob_bytes, limits.max_bytes));
  capacity.set_max_output_files(config_->outputs().max_files());
  capacity.set_max_output_bytes(config_->outputs().max_bytes());
}

void Daemon::DecorateStatus(v1::GetStatusResponse& status) const {
  bool survive = true;
  for (const auto& [name, provider] : providers_) {
    survive = survive && provider->tasks_survive_service_stop();
  }
  status.set_tasks_survive_service_stop(survive);
  if (const std::string local = LocalLogs(); !local.empty()) status.add_warnings(local);
  if (!log_store_checked_.ok()) {
    status.add_warnings(
        absl::StrCat("the log store cannot be used: ", std::string(log_store_checked_.message())));
  }
  if (const std::string spool = logs_->SpoolWarning(); !spool.empty()) status.add_warnings(spool);
  const artifacts::ArtifactShipperStatus outputs = logs_->outputs_status();
  if (!outputs.last_error.empty()) {
    status.add_warnings(absl::StrCat("outputs of ", outputs.failing,
                                     " tasks wait for the log store: ", outputs.last_error));
  }
  const logs::PullerStatus pulled = logs_->puller_status();
  if (pulled.failing > 0) {
    status.add_warnings(absl::StrCat("output of ", pulled.failing,
                                     " streams cannot be fetched now: ", pulled.last_error));
  }
  const logs::ShipperStatus logs = logs_->status();
  if (logs.last_error.empty()) return;
  status.add_warnings(
      absl::StrCat("logs of ", logs.failing, " tasks wait for the log store: ", logs.last_error));
}

}  // namespace boxkeeper::daemon
