// The daemon's numbers for Prometheus: plain members that the loop bumps inline, gathered when
// somebody scrapes. Names are boxkeeper_<noun>_<unit>[_total]; labels come from small closed sets,
// never task ids.
#pragma once

#include <prometheus/metric_family.h>

#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <map>
#include <string>
#include <tuple>
#include <vector>

#include "boxkeeper/v1/executor.pb.h"
#include "boxkeeper/v1/task.pb.h"

namespace boxkeeper::daemon {

// Durations in buckets from 100 us to 10 s, which fits both a commit and a stalled loop.
class DurationHistogram {
 public:
  // Upper bounds in seconds; what is above the last falls into +Inf.
  static constexpr std::array<double, 16> kBounds = {0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005,
                                                     0.01,   0.025,   0.05,   0.1,   0.25,   0.5,
                                                     1.0,    2.5,     5.0,    10.0};

  void Observe(std::chrono::nanoseconds duration);
  prometheus::ClientMetric::Histogram Collect() const;
  uint64_t count() const { return count_; }

 private:
  std::array<uint64_t, kBounds.size() + 1> buckets_{};
  uint64_t count_ = 0;
  double sum_ = 0;
};

// Owned by main; outlives everything that bumps it. All members belong to the loop, but for the
// atomic ones.
struct Metrics {
  // Gauge: moved only where a task's state changes. Index = TaskState.
  std::array<int64_t, v1::TaskState_ARRAYSIZE> tasks{};
  // Items of SubmitTasks. Index = SubmitResult::Outcome.
  std::array<uint64_t, v1::SubmitResult::Outcome_ARRAYSIZE> submits{};
  // Ends. Index = Reason.
  std::array<uint64_t, v1::Reason_ARRAYSIZE> task_ends{};
  uint64_t events = 0;  // journalled
  int64_t unacknowledged_events = 0;
  int64_t event_subscribers = 0;
  int64_t live_sandboxes = 0;
  uint64_t log_bytes_stored = 0;    // confirmed by the log store
  uint64_t log_bytes_dropped = 0;   // by the per-task limit, or because the spool was full
  uint64_t log_bytes_waiting = 0;   // spooled and not stored
  uint64_t log_store_failures = 0;  // failed calls
  uint64_t log_redactions = 0;      // secret values overwritten in what was stored
  uint64_t spool_bytes = 0;         // on the disk
  uint64_t blobs = 0;               // of PutBlob
  uint64_t blob_bytes = 0;          // of them together
  uint64_t spools_dropped = 0;      // of stored logs, before their time
  bool spool_full = false;
  uint64_t log_held_tasks = 0;        // whose output waits for room in the spool
  uint64_t rejected_transitions = 0;  // moves that the state table does not allow: a bug of ours
  bool ready = false;
  DurationHistogram store_commit;
  DurationHistogram loop_lag;

  // `verb` as in the provider contract ("create", "start", ...), `outcome` "ok" or a class of
  // error. Returns the counter; its address is stable, so hot paths may keep it.
  uint64_t& ProviderCalls(const std::string& provider, const std::string& verb,
                          const std::string& outcome);

  // Any thread: requests that were turned away because a queue or a budget was full.
  std::atomic<uint64_t> queue_refusals{0};
  // Any thread: calls refused for want of a valid token.
  std::atomic<uint64_t> unauthenticated{0};

  // On the loop: everything above as Prometheus' families, with the process's own (RSS,
  // descriptors) added.
  std::vector<prometheus::MetricFamily> Collect() const;

 private:
  std::map<std::tuple<std::string, std::string, std::string>, uint64_t> provider_calls_;
};

}  // namespace boxkeeper::daemon
