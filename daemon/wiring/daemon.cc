#include "daemon/wiring/daemon.h"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/fault_points.h"
#include "base/log.h"
#include "base/real_clock.h"
#include "base/run_on.h"
#include "base/status_macros.h"
#include "base/version.h"
#include "daemon/service/grpc_log.h"
#include "daemon/wiring/config_options.h"
#include "daemon/wiring/log_store.h"
#include "daemon/wiring/service_manager.h"

namespace boxkeeper::daemon {

namespace asio = boost::asio;
using asio::awaitable;

namespace {

// They mostly wait for the disk, and file systems commit what waits at the same time together.
constexpr size_t kPoolThreads = 16;
constexpr std::chrono::seconds kHandOverLimit{20};  // of the API's contract (design section 8)
constexpr std::chrono::seconds kLogStopLimit{5};
constexpr std::chrono::milliseconds kCallEndLimit{2000};
constexpr std::chrono::seconds kCheckLogStoreAgain{60};
constexpr std::chrono::seconds kSweepBlobs{60};
constexpr int kSignalExitBase = 128;

}  // namespace

void LeaveStorageFailed(const absl::Status& status) {
  const std::string line = absl::StrCat(
      "boxkeeperd: the store failed, nothing more is written: ", status.ToString(), "\n");
  std::fputs(line.c_str(), stderr);
  std::fflush(stderr);
  std::_Exit(kExitStorageFailed);
}

Daemon::Daemon(DaemonOptions options)
    : options_(std::move(options)),
      config_(std::make_shared<const config::v1::Config>(options_.config)),
      clock_(base::MakeRealClock()),
      pool_(kPoolThreads),
      files_(base::MakeRealFileSystem()),
      rng_(base::MakeSystemRng()),
      sealing_rng_(base::MakeSystemRng()),
      signals_(loop_, SIGTERM, SIGINT, SIGHUP) {}

Daemon::~Daemon() = default;

int Daemon::Run() {
  RouteGrpcLog();
  if (absl::Status opened = OpenState(); !opened.ok()) {
    base::LogError("cannot start", {{"state_dir", config_->state_dir()}, {"error", opened}});
    return exit_code_;
  }
  const auto work = asio::make_work_guard(loop_);
  lag_ = std::make_unique<LoopLag>(loop_.get_executor(), *clock_, metrics_);
  group_ = std::make_unique<base::TaskGroup>(*clock_, loop_.get_executor());
  group_->Spawn("start", [this] { return Start(); });
  loop_.run();
  pool_.join();
  return exit_code_;
}

void Daemon::Finish(int exit_code) {
  exit_code_ = exit_code;
  loop_.stop();
}

awaitable<void> Daemon::Start() {
  absl::Status started = co_await StartServing();
  if (!started.ok()) {
    base::LogError("cannot start", {{"state_dir", config_->state_dir()}, {"error", started}});
    co_await CloseListeners();
    Finish(absl::IsDataLoss(started) ? kExitStorageFailed : kExitFailed);
    co_return;
  }
  server_->SetServing();
  SayStarted();
  group_->Spawn("signals", [this] { return WatchSignals(); });
  group_->Spawn("log store", [this] { return CheckLogStore(); });
  group_->Spawn("blobs", [this] { return SweepBlobs(); });
}

// A store that is away holds nothing up: the spool keeps what it will get. But who starts a daemon
// with a wrong key shall hear of it before the first task has ended.
awaitable<void> Daemon::CheckLogStore() {
  if (const std::string local = LocalLogs(); !local.empty()) base::LogWarning(local);
  absl::Status told;
  while (true) {
    absl::Status checked = co_await log_store_->Check();
    if (!checked.ok() && checked != told) {
      base::LogError("the log store cannot be used; logs wait in the spool",
                     {{"url", log_store_->url()}, {"error", checked}});
    }
    if (checked.ok() && !told.ok()) base::LogInfo("the log store can be used again");
    log_store_checked_ = told = checked;
    if (checked.ok()) co_return;
    absl::Status slept = co_await clock_->SleepUntil(clock_->Boot() + kCheckLogStoreAgain);
    if (!slept.ok()) co_return;
  }
}

awaitable<void> Daemon::SweepBlobs() {
  while (true) {
    absl::Status slept = co_await clock_->SleepUntil(clock_->Boot() + kSweepBlobs);
    if (!slept.ok()) co_return;
    blobs_->Sweep();
  }
}

// Whoever gave no configuration file at all is trying things out.
std::string Daemon::LocalLogs() const {
  return options_.config_file.empty() ? "" : LocalLogsWarning(*config_);
}

awaitable<absl::Status> Daemon::StartServing() {
  absl::Status recovered = co_await core_->Recover();
  CO_RETURN_IF_ERROR(recovered);
  CO_RETURN_IF_ERROR(Listen());
  absl::Status started = co_await core_->Start();
  co_return started;
}

absl::Status Daemon::Listen() {
  GrpcServerOptions options;
  options.listen.assign(config_->server().listen().begin(), config_->server().listen().end());
  options.tls = MakeTlsFiles(*config_);
  options.tokens_file = config_->server().auth().tokens_file();
  GrpcServerDeps deps{loop_,
                      *clock_,
                      metrics_,
                      *core_,
                      [this](const v1::TaskSpec& item) {
                        const auto context = prepare_.load();
                        return Prepare(item, *context);
                      },
                      [this] { return Reload(); },
                      blobs_.get()};
  ASSIGN_OR_RETURN(server_, GrpcServer::Start(std::move(deps), std::move(options)));
  if (config_->http().listen().empty()) return absl::OkStatus();

  HttpSources sources;
  sources.metrics = [this] {
    core_->RefreshMetrics();
    logs_->RefreshMetrics();
    const blobs::BlobStoreStatus blobs = blobs_->status();
    metrics_.blobs = static_cast<uint64_t>(blobs.blobs);
    metrics_.blob_bytes = static_cast<uint64_t>(blobs.bytes);
    return metrics_.Collect();
  };
  sources.not_ready_because = [this] { return core_->NotReadyBecause(); };
  HttpServerOptions http;
  http.listen = config_->http().listen();
  ASSIGN_OR_RETURN(http_, HttpServer::Start(loop_, *clock_, std::move(sources), std::move(http)));
  return absl::OkStatus();
}

void Daemon::SayStarted() {
  const std::string grpc = absl::StrJoin(server_->addresses(), " ");
  base::LogInfo("boxkeeperd started", {{"version", base::kVersion},
                                       {"grpc", grpc},
                                       {"http", http_ == nullptr ? "off" : http_->address()},
                                       {"state_dir", config_->state_dir()},
                                       {"logs", config_->logs().url()},
                                       {"deployment", deployment_->id()},
                                       {"epoch", core_->epoch()}});
  NotifyServiceManager(absl::StrCat("READY=1\nSTATUS=serving on ", grpc));
}

awaitable<void> Daemon::WatchSignals() {
  while (true) {
    auto [error, number] = co_await signals_.async_wait(asio::as_tuple(asio::use_awaitable));
    if (error) co_return;
    if (number == SIGHUP) {
      group_->Spawn("reload", [this] { return ReloadBySignal(); });
      continue;
    }
    if (stopping_) {
      // Everything that was answered is synced; what is in flight is taken up by the next start.
      std::_Exit(kSignalExitBase + number);
    }
    stopping_ = true;
    group_->Spawn("hand over", [this] { return HandOver(); });
  }
}

awaitable<void> Daemon::HandOver() {
  base::LogInfo("handing over");
  NotifyServiceManager("STOPPING=1\nSTATUS=handing over");
  server_->StopServing();
  // The core first: from the signal on nothing new is started, however long the log store takes.
  co_await core_->HandOver(clock_->Boot() + kHandOverLimit);
  absl::Status shipped = co_await logs_->Stop(clock_->Boot() + kLogStopLimit);
  base::LogIfError(shipped, "the next start ships the rest");
  base::Failpoint("hand_over.logs_stopped");
  co_await CloseListeners();
  base::LogInfo("handed over");
  Finish(EXIT_SUCCESS);
}

awaitable<void> Daemon::CloseListeners() {
  if (server_ != nullptr) server_->EndCalls();
  auto close = [this] {
    if (server_ != nullptr) server_->Shutdown(kCallEndLimit);
    if (http_ != nullptr) http_->Stop();
    return absl::OkStatus();
  };
  absl::Status closed = co_await base::RunOn(pool_.get_executor(), std::move(close));
  base::LogIfError(closed, "the process ends anyway");
}

}  // namespace boxkeeper::daemon
