// The part of Daemon that reads the configuration again.
#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/log.h"
#include "base/run_on.h"
#include "daemon/api/api_error.h"
#include "daemon/wiring/config_options.h"
#include "daemon/wiring/daemon.h"
#include "daemon/wiring/service_manager.h"

namespace boxkeeper::daemon {

using boost::asio::awaitable;

namespace {

absl::Status BadConfiguration(const config::LoadResult& loaded) {
  ApiErrorDetails details;
  for (const config::Problem& problem : loaded.problems) {
    details.violations.push_back({problem.key, problem.message});
  }
  return ApiError(absl::StatusCode::kFailedPrecondition, "BAD_CONFIGURATION",
                  absl::StrJoin(loaded.Messages(), "\n"), details);
}

absl::Status BadSecurityFiles(const absl::Status& status) {
  return ApiError(absl::StatusCode::kFailedPrecondition, "BAD_CONFIGURATION",
                  std::string(status.message()));
}

}  // namespace

awaitable<absl::StatusOr<v1::ReloadResponse>> Daemon::Reload() {
  if (std::exchange(reloading_, true)) {
    ApiErrorDetails details;
    details.retry_after = std::chrono::milliseconds(1000);
    co_return ApiError(absl::StatusCode::kUnavailable, "RELOADING", "another reload is going on",
                       details);
  }
  absl::StatusOr<v1::ReloadResponse> result = co_await ReloadOnce();
  reloading_ = false;
  if (!result.ok()) {
    base::LogError("configuration not reloaded, the old one stays", {{"error", result.status()}});
  } else {
    base::LogInfo("configuration reloaded",
                  {{"changed", absl::StrJoin(result->changed(), " ")},
                   {"needs_restart", absl::StrJoin(result->needs_restart(), " ")}});
  }
  co_return result;
}

awaitable<absl::StatusOr<v1::ReloadResponse>> Daemon::ReloadOnce() {
  auto load = [file = options_.config_file]() -> absl::StatusOr<config::LoadResult> {
    const config::LoadOptions options = MakeLoadOptions();
    return file.empty() ? config::EmbeddedDefaults(options) : config::LoadConfig(file, options);
  };
  const auto read = co_await base::RunOn(pool_.get_executor(), std::move(load));
  if (!read.ok()) co_return read.status();
  const config::LoadResult& loaded = *read;
  if (!loaded.ok()) co_return BadConfiguration(loaded);

  const config::ReloadDiff diff = config::DiffForReload(*config_, loaded.config);
  auto next =
      std::make_shared<const config::v1::Config>(config::ApplyReload(*config_, loaded.config));
  // Certificates and tokens are read anew even if no key changed.
  auto security = [this, next] {
    return server_->Reload(MakeTlsFiles(*next), next->server().auth().tokens_file());
  };
  absl::Status reloaded = co_await base::RunOn(pool_.get_executor(), std::move(security));
  if (!reloaded.ok()) co_return BadSecurityFiles(reloaded);

  Adopt(std::move(next));
  v1::ReloadResponse response;
  response.mutable_changed()->Assign(diff.changed.begin(), diff.changed.end());
  response.mutable_needs_restart()->Assign(diff.needs_restart.begin(), diff.needs_restart.end());
  co_return response;
}

void Daemon::Adopt(std::shared_ptr<const config::v1::Config> config) {
  config_ = std::move(config);
  prepare_ =
      std::make_shared<const PrepareContext>(MakePrepareContext(config_, providers_, *secrets_));
  core_->SetOptions(MakeCoreOptions(*config_, deployment_->id()));
  for (const config::v1::Provider& section : config_->providers()) {
    if (auto found = providers_.find(section.name()); found != providers_.end()) {
      found->second->SetLimits(MakeCallLimits(section));
    }
  }
  logs_->SetOptions(MakeLogOptions(*config_));
  blobs_->SetLimits(MakeBlobLimits(*config_));
  if (auto level = base::ParseLogLevel(config_->log().level())) base::SetLogLevel(*level);
}

awaitable<void> Daemon::ReloadBySignal() {
  const auto now = std::chrono::duration_cast<std::chrono::microseconds>(
      std::chrono::steady_clock::now().time_since_epoch());
  NotifyServiceManager(absl::StrCat("RELOADING=1\nMONOTONIC_USEC=", now.count()));
  auto result = co_await Reload();  // it says how it went
  NotifyServiceManager("READY=1");
}

}  // namespace boxkeeper::daemon
