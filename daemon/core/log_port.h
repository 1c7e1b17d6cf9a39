// What the core needs of logs/: shipping of a task's output, and reading it.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "base/clock.h"
#include "base/id128.h"
#include "boxkeeper/provider/v1/provider.pb.h"
#include "boxkeeper/store/v1/records.pb.h"
#include "boxkeeper/v1/executor.pb.h"
#include "daemon/api/task_api.h"

namespace boxkeeper::daemon {

// A task as far as its output is concerned.
struct LogTask {
  int64_t generation = 0;
  base::TaskId id;
  v1::TaskKey key;
  v1::LogSpec spec;
  int64_t accepted_at_ms = 0;  // unix
  // Values to be overwritten in what is read and stored; empty once they are erased (the log is
  // then stored, and the spool redacted).
  std::vector<std::string> secrets;
  bool has_outputs = false;                   // asked for some
  std::vector<store::v1::LogRecord> records;  // journalled ones that are not superseded, in order
};

struct LogEnd {
  bool ended = false;  // the sizes below are final
  int64_t stdout_bytes = 0;
  int64_t stderr_bytes = 0;
  int64_t dropped_bytes = 0;
  bool unattested = false;  // nobody told them: the task is LOST
  int64_t ended_at_ms = 0;  // unix
  std::string reason;       // e.g. "OOM"
  std::string why;          // for people, in the task's log; empty: it succeeded
  // Prints the JSON for <base>/_boxkeeper/<task id>/exit.json. Called off the loop, which has
  // better to do (docs/performance.md). `outputs`: with every artifact; null = as the core knows.
  std::function<std::string(const v1::OutputsStatus* outputs)> exit_record;
};

// The output of the one sandbox that runs a task's command, where the provider writes no spool.
struct OutputSource {
  bool live = false;  // it can be read while the command runs
  // Provider::ReadOutput of this sandbox.
  std::function<boost::asio::awaitable<absl::StatusOr<provider::v1::OutputChunk>>(
      std::string stream, int64_t offset, int64_t max_bytes, base::BootTime deadline)>
      read;
};

// What is known of an end before its output is all here.
struct OutputEnd {
  // As attested; without: to where the provider says that the stream ends.
  std::optional<int64_t> stdout_bytes;
  std::optional<int64_t> stderr_bytes;
  bool gone = false;  // the sandbox is: nothing can be fetched any more
};

// A task's whole output, as far as there will ever be any.
struct DrainedOutput {
  int64_t stdout_bytes = 0;
  int64_t stderr_bytes = 0;
  int64_t dropped_bytes = 0;
  std::string incomplete;  // why something is missing; empty: nothing is
};

// Called on the loop.
class LogPort {
 public:
  virtual ~LogPort() = default;

  // Says where a provider with a native spool is to write. The folder and the files are made by
  // whoever writes the first byte. An error may pass (disk full).
  virtual boost::asio::awaitable<absl::StatusOr<provider::v1::SpoolPaths>> PrepareSpool(
      base::TaskId id) = 0;
  // Fetches a running task's output into its spool. Repeatable.
  virtual void Pull(const base::TaskId& id, OutputSource source) = 0;
  // Fetches the rest, at most final_drain long without a byte, and makes it durable. The sandbox
  // may go afterwards.
  virtual boost::asio::awaitable<DrainedOutput> Drain(base::TaskId id, OutputSource source,
                                                      OutputEnd end) = 0;
  // The provider hints that something happened in the task's sandbox.
  virtual void Hurry(const base::TaskId& id) = 0;
  // Ships what the spool holds and will hold, going on after `task.records`.
  virtual void Track(LogTask task) = 0;
  // The stream sizes are final. A task without output has zeros.
  virtual void NoteEnd(const base::TaskId& id, LogEnd end) = 0;
  // The task is compacted: its spool goes.
  virtual void Forget(const base::TaskId& id) = 0;
  // Path below logs.url, for status.
  virtual std::string LogPath(const LogTask& task) const = 0;
  // `describe` gives the task (its record may have to be read); `end` tells, whenever asked,
  // whether it has ended and how long its streams are then.
  virtual absl::StatusOr<std::unique_ptr<LogStream>> Open(
      const base::TaskId& id,
      std::function<boost::asio::awaitable<absl::StatusOr<LogTask>>()> describe,
      std::function<LogEnd()> end, v1::ReadLogRequest request) = 0;
  // Of a task that has ended; `complete`: it was told so. kNotFound: nothing was collected.
  virtual boost::asio::awaitable<absl::StatusOr<v1::OutputsStatus>> ListArtifacts(
      base::TaskId id, bool complete) = 0;
  virtual std::unique_ptr<ArtifactStream> OpenArtifact(base::TaskId id, bool complete,
                                                       v1::ReadArtifactRequest request) = 0;
};

// What the port calls back, on the loop. Implemented by the core.
class LogEvents {
 public:
  virtual ~LogEvents() = default;
  // Completes when the record is durable. kNotFound: the task is unknown (compacted).
  virtual boost::asio::awaitable<absl::Status> RecordLog(store::v1::LogRecord record) = 0;
  // The log store confirmed every byte.
  virtual void LogComplete(int64_t generation) = 0;
};

}  // namespace boxkeeper::daemon
