// Fetches the output of sandboxes whose provider writes no spool: by offset, while they run and at
// their end.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/clock.h"
#include "base/file_system.h"
#include "base/id128.h"
#include "base/rng.h"
#include "logs/pulled_spool.h"
#include "logs/spool_files.h"

namespace boxkeeper::logs {

struct PulledChunk {
  std::string data = {};  // from the offset asked for
  bool end = false;       // nothing will ever come behind it
};

// The output of one task's one sandbox.
struct PullJob {
  base::TaskId task;
  SpoolFiles spool;
  SpoolLimit limit;
  bool live = true;  // it can be read while the command runs
  // Up to `max_bytes` of a stream from `offset`; completes by the deadline. kNotFound: there is no
  // such sandbox. Called on the loop.
  std::function<boost::asio::awaitable<absl::StatusOr<PulledChunk>>(
      Stream stream, uint64_t offset, size_t max_bytes, base::BootTime deadline)>
      read;
};

// What is known of an end.
struct PullEnd {
  // Attested sizes. Without: to where the source says `end`.
  std::optional<uint64_t> stdout_bytes = {};
  std::optional<uint64_t> stderr_bytes = {};
  bool gone = false;  // the sandbox is: what was fetched is what there is
};

struct PulledOutput {
  uint64_t stdout_bytes = 0;  // of the streams as they are spooled now, durably
  uint64_t stderr_bytes = 0;
  uint64_t dropped_bytes = 0;  // of these, by the limit
  bool complete = false;
  std::string why;  // if not complete: for people
};

struct PullerOptions {
  // A quiet stream is looked at ever rarer, from `poll_min` to `poll_max`; rarer still where there
  // are so many that it would be more than `calls_per_second` in all. One that somebody follows, at
  // least every `poll_followed`.
  std::chrono::milliseconds poll_min{100};
  std::chrono::milliseconds poll_max{2'000};
  std::chrono::milliseconds poll_followed{500};
  int calls_per_second = 50;
  std::chrono::milliseconds call_timeout{10'000};
  // At the end: so long without a byte, and the rest is given up.
  std::chrono::milliseconds final_drain{10'000};
  size_t read_bytes = 256 * 1024;  // of one call
  int concurrency = 16;            // running tasks being read at one time
  int drains = 32;                 // ended ones
};

// For status and metrics.
struct PullerStatus {
  uint64_t calls = 0;
  uint64_t bytes = 0;    // spooled since the start
  uint64_t pulled = 0;   // running tasks
  uint64_t failing = 0;  // streams of these whose last read failed
  std::string last_error;
};

// Lives on the loop: one alarm for all tasks, coroutines only for those being read. Writes on the
// pool. Memory: `read_bytes` for each one being read.
//
// A task's output goes on where its spool ends, whoever wrote that: nothing of it is remembered
// elsewhere. Pull, Drain and Forget take over from what is in flight for the task: its answer is
// discarded.
class OutputPuller {
 public:
  struct Deps {
    base::Clock& clock;
    base::Rng& rng;
    base::FileSystem& files;
    boost::asio::any_io_executor loop;
    boost::asio::any_io_executor pool;
    // On the loop: the spool of the task has grown. May be null.
    std::function<void(const base::TaskId&)> on_growth;
  };
  OutputPuller(Deps deps, PullerOptions options);
  ~OutputPuller();

  // Begins to fetch while it runs. A task that is being fetched already stays as it is.
  void Pull(PullJob job);
  // Fetches the rest and makes it durable. Completes when all is there, or nothing came for
  // `final_drain`, or the sandbox is gone. Nothing is fetched for the task afterwards.
  boost::asio::awaitable<PulledOutput> Drain(PullJob job, PullEnd end);
  // Something may have been printed: look soon.
  void Hurry(const base::TaskId& task);
  // Somebody follows the task's output from now on (+1), or no longer (-1).
  void Follow(const base::TaskId& task, int change);
  // Fetches nothing more for it.
  void Forget(const base::TaskId& task);

  PullerStatus status() const;
  void SetOptions(PullerOptions options);
  // Begins nothing new, ends what is in flight.
  boost::asio::awaitable<absl::Status> Stop(base::BootTime deadline);

 private:
  class Impl;
  std::shared_ptr<Impl> impl_;
};

}  // namespace boxkeeper::logs
