// Between the core and logs/: shipping and reading of tasks' output.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <cstdint>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/status/statusor.h"
#include "artifacts/artifact_reader.h"
#include "artifacts/artifact_shipper.h"
#include "base/clock.h"
#include "base/file_system.h"
#include "base/rng.h"
#include "base/task_group.h"
#include "daemon/core/log_port.h"
#include "daemon/metrics/metrics.h"
#include "logs/growth_watcher.h"
#include "logs/log_reader.h"
#include "logs/log_shipper.h"
#include "logs/object_store.h"
#include "logs/output_puller.h"
#include "logs/spool_bound.h"
#include "logs/spool_folders.h"
#include "logs/unstored_reader.h"

namespace boxkeeper::daemon {

struct LogAdapterOptions {
  std::string spool_dir;                       // absolute
  logs::Layout layout = logs::Layout::kPlain;  // of specs that name none
  int64_t max_bytes_per_task = 0;              // 0 = no limit
  int64_t spool_max_bytes = 0;                 // of all spools; 0 = no limit
  provider::v1::SpoolPaths::Overflow overflow = provider::v1::SpoolPaths::DROP_MIDDLE;
  bool redact = true;
  int64_t outputs_max_files = 1000;
  int64_t outputs_max_bytes = int64_t{1} << 30;
  std::chrono::milliseconds outputs_timeout{60'000};
  logs::ShipperOptions shipper;
  logs::PullerOptions puller;
};

// All outlive the adapter.
struct LogAdapterDeps {
  base::Clock& clock;
  base::Rng& rng;
  base::FileSystem& files;
  logs::ObjectStore& store;
  LogEvents& events;
  Metrics& metrics;
  boost::asio::any_io_executor loop;
  boost::asio::any_io_executor pool;
  // The journal refused a record for good.
  std::function<void(absl::Status)> fatal;
};

// Lives on the loop. Stop it before the core goes; destroy it after the core's streams are gone.
class LogAdapter final : public LogPort, private logs::LogJournal {
 public:
  LogAdapter(LogAdapterDeps deps, LogAdapterOptions options);
  ~LogAdapter() override;

  boost::asio::awaitable<absl::StatusOr<provider::v1::SpoolPaths>> PrepareSpool(
      base::TaskId id) override;
  void Pull(const base::TaskId& id, OutputSource source) override;
  boost::asio::awaitable<DrainedOutput> Drain(base::TaskId id, OutputSource source,
                                              OutputEnd end) override;
  void Hurry(const base::TaskId& id) override;
  void Track(LogTask task) override;
  void NoteEnd(const base::TaskId& id, LogEnd end) override;
  void Forget(const base::TaskId& id) override;
  std::string LogPath(const LogTask& task) const override;
  absl::StatusOr<std::unique_ptr<LogStream>> Open(
      const base::TaskId& id,
      std::function<boost::asio::awaitable<absl::StatusOr<LogTask>>()> describe,
      std::function<LogEnd()> end, v1::ReadLogRequest request) override;
  boost::asio::awaitable<absl::StatusOr<v1::OutputsStatus>> ListArtifacts(base::TaskId id,
                                                                          bool complete) override;
  std::unique_ptr<ArtifactStream> OpenArtifact(base::TaskId id, bool complete,
                                               v1::ReadArtifactRequest request) override;

  // Takes effect for what begins afterwards; `spool_dir` stays.
  void SetOptions(LogAdapterOptions options);
  logs::ShipperStatus status() const { return shipper_.status(); }
  // For Admin.GetStatus; empty: there is room.
  std::string SpoolWarning() const;
  artifacts::ArtifactShipperStatus outputs_status() const { return artifacts_.status(); }
  logs::PullerStatus puller_status() const { return puller_.status(); }
  void RefreshMetrics();
  // Ends followers, begins nothing new, waits for what is in flight.
  boost::asio::awaitable<absl::Status> Stop(base::BootTime deadline);

 private:
  friend class OpenLogStream;
  friend class SpoolLogStream;
  friend class UnstoredLogStream;

  boost::asio::awaitable<absl::Status> Record(store::v1::LogRecord record) override;
  void OnStored(const base::TaskId& id);
  // Keeps the spool within its bound, again and again.
  void LookAtSpoolAt(base::BootTime due);
  boost::asio::awaitable<void> LookAtSpool();
  std::string Directory(const base::TaskId& id) const;
  std::string OutputsPath(const base::TaskId& id) const;
  logs::SpoolFiles Files(const base::TaskId& id) const;
  logs::Layout LayoutOf(const LogTask& task) const;
  std::shared_ptr<const logs::Redactor> RedactorOf(const LogTask& task) const;
  static logs::EndNotePtr NoteOf(const LogEnd& end);
  logs::UnstoredSource UnstoredOf(const LogTask& task) const;
  logs::PullJob MakePullJob(const base::TaskId& id, OutputSource source) const;

  LogAdapterDeps deps_;
  LogAdapterOptions options_;
  const std::shared_ptr<logs::SpoolFolders> folders_;
  const std::shared_ptr<logs::SpoolBound> bound_;
  logs::SpoolUsage usage_;
  std::unique_ptr<base::Alarm> look_;
  bool stopping_ = false;
  base::TaskGroup group_;
  logs::GrowthWatcher growth_;
  logs::LogReader reader_;
  absl::flat_hash_map<base::TaskId, int64_t> generations_;  // of tracked tasks
  absl::flat_hash_set<base::TaskId> with_outputs_;          // of these
  std::set<class OpenLogStream*> streams_;                  // open ones
  artifacts::ArtifactReader artifact_reader_;
  artifacts::ArtifactShipper artifacts_;
  logs::LogShipper shipper_;
  logs::OutputPuller puller_;  // last: goes first
};

}  // namespace boxkeeper::daemon
