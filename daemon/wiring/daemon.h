// The daemon's life: wires the real objects, serves, reloads, hands over.
#pragma once

#include <atomic>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/thread_pool.hpp>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "base/clock.h"
#include "base/file_system.h"
#include "base/identity/deployment.h"
#include "base/identity/sealer.h"
#include "base/rng.h"
#include "base/task_group.h"
#include "blobs/blob_store.h"
#include "boxkeeper/config/v1/config.pb.h"
#include "daemon/core/core.h"
#include "daemon/http/http_server.h"
#include "daemon/metrics/metrics.h"
#include "daemon/service/grpc_server.h"
#include "daemon/submit/prepare.h"
#include "daemon/wiring/identity_adapter.h"
#include "daemon/wiring/log_adapter.h"
#include "daemon/wiring/loop_lag.h"
#include "daemon/wiring/measured_task_store.h"
#include "logs/object_store.h"
#include "providers/provider.h"
#include "store/state_lock.h"
#include "store/threaded_task_store.h"

namespace boxkeeper::daemon {

// Exit codes besides 0 (docs/operations.md).
inline constexpr int kExitFailed = 1;  // cannot start, e.g. another daemon is there
inline constexpr int kExitBadConfiguration = 2;
inline constexpr int kExitStorageFailed = 74;  // EX_IOERR: the next start replays

struct DaemonOptions {
  config::v1::Config config;
  std::string config_file;    // "" = embedded defaults
  std::string launcher_path;  // "" = search
};

// One per process, on its main thread, which becomes the event loop. Signals: TERM and INT hand
// over, a second one leaves at once; HUP reloads.
class Daemon {
 public:
  explicit Daemon(DaemonOptions options);
  ~Daemon();

  // Runs until a signal or a failure ends it; returns the exit code. A failed sync leaves the
  // process by itself, with 74.
  int Run();

 private:
  // Blocking; before the loop runs. The error's exit code is in `exit_code_`.
  absl::Status OpenState();
  absl::Status OpenIdentity();
  absl::Status OpenStore();
  absl::Status OpenProviders();
  absl::Status OpenLogs();
  absl::Status OpenBlobs();
  absl::Status OpenCore();

  // Adds what only the process as a whole knows.
  void DecorateStatus(v1::GetStatusResponse& status) const;
  void DecorateCapacity(v1::GetCapacityResponse& capacity) const;

  boost::asio::awaitable<void> Start();
  boost::asio::awaitable<absl::Status> StartServing();
  absl::Status Listen();
  boost::asio::awaitable<void> CheckLogStore();
  boost::asio::awaitable<void> SweepBlobs();
  std::string LocalLogs() const;
  boost::asio::awaitable<void> WatchSignals();
  boost::asio::awaitable<void> HandOver();
  boost::asio::awaitable<void> CloseListeners();
  boost::asio::awaitable<absl::StatusOr<v1::ReloadResponse>> Reload();
  boost::asio::awaitable<absl::StatusOr<v1::ReloadResponse>> ReloadOnce();
  boost::asio::awaitable<void> ReloadBySignal();
  void Adopt(std::shared_ptr<const config::v1::Config> config);
  void Finish(int exit_code);
  void SayStarted();

  const DaemonOptions options_;
  std::shared_ptr<const config::v1::Config> config_;  // in force; replaced by Reload
  int exit_code_ = kExitFailed;
  bool stopping_ = false;
  bool reloading_ = false;

  std::unique_ptr<base::Clock> clock_;
  Metrics metrics_;
  boost::asio::io_context loop_{1};
  boost::asio::thread_pool pool_;  // for what blocks or burns CPU
  std::unique_ptr<base::FileSystem> files_;
  std::unique_ptr<base::Rng> rng_;
  std::unique_ptr<base::Rng> sealing_rng_;  // on whatever thread seals, under the sealer's lock
  boost::asio::signal_set signals_;

  std::unique_ptr<store::StateLock> lock_;
  std::unique_ptr<base::Deployment> deployment_;
  std::unique_ptr<base::Sealer> sealer_;
  std::unique_ptr<DeploymentNaming> naming_;
  std::unique_ptr<SealerSecretKeeper> secrets_;
  std::unique_ptr<store::ThreadedTaskStore> store_;
  std::unique_ptr<MeasuredTaskStore> measured_store_;
  providers::ProviderRegistry providers_;
  std::atomic<std::shared_ptr<const PrepareContext>> prepare_;  // read by gRPC's threads
  std::unique_ptr<logs::ObjectStore> log_store_;
  absl::Status log_store_checked_;  // what its last check at the start said
  std::unique_ptr<blobs::BlobStore> blobs_;
  std::unique_ptr<Core> core_;
  std::unique_ptr<LogAdapter> logs_;
  std::unique_ptr<LoopLag> lag_;
  std::unique_ptr<GrpcServer> server_;
  std::unique_ptr<HttpServer> http_;  // nullptr = switched off
  std::unique_ptr<base::TaskGroup> group_;
};

// The store failed for good: says so and leaves with 74, without another write.
[[noreturn]] void LeaveStorageFailed(const absl::Status& status);

}  // namespace boxkeeper::daemon
