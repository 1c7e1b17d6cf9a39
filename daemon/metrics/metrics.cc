#include "daemon/metrics/metrics.h"

#include <dirent.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <fstream>
#include <limits>

namespace boxkeeper::daemon {
namespace {

using prometheus::ClientMetric;
using prometheus::MetricFamily;
using prometheus::MetricType;

MetricFamily Family(const char* name, const char* help, MetricType type) {
  MetricFamily family;
  family.name = name;
  family.help = help;
  family.type = type;
  return family;
}

void Add(MetricFamily& family, double value, std::vector<ClientMetric::Label> labels = {}) {
  ClientMetric metric;
  metric.label = std::move(labels);
  if (family.type == MetricType::Counter) {
    metric.counter.value = value;
  } else {
    metric.gauge.value = value;
  }
  family.metric.push_back(std::move(metric));
}

MetricFamily Single(const char* name, const char* help, MetricType type, double value) {
  MetricFamily family = Family(name, help, type);
  Add(family, value);
  return family;
}

MetricFamily Histogram(const char* name, const char* help, const DurationHistogram& histogram) {
  MetricFamily family = Family(name, help, MetricType::Histogram);
  ClientMetric metric;
  metric.histogram = histogram.Collect();
  family.metric.push_back(std::move(metric));
  return family;
}

// "TASK_STATE_RUNNING" -> "running": label values are the words that people use.
std::string Word(const std::string& enum_name, const std::string& prefix) {
  std::string word = enum_name.rfind(prefix, 0) == 0 ? enum_name.substr(prefix.size()) : enum_name;
  std::transform(word.begin(), word.end(), word.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return word;
}

double ResidentBytes() {
  std::ifstream statm("/proc/self/statm");
  double total = 0;
  double resident = 0;
  statm >> total >> resident;
  return resident * static_cast<double>(sysconf(_SC_PAGESIZE));
}

double OpenDescriptors() {
  DIR* dir = opendir("/proc/self/fd");
  if (dir == nullptr) return 0;
  int entries = 0;
  while (readdir(dir) != nullptr) ++entries;
  closedir(dir);
  return entries - 3;  // ".", ".." and the directory's own
}

}  // namespace

void DurationHistogram::Observe(std::chrono::nanoseconds duration) {
  const double seconds = std::chrono::duration<double>(duration).count();
  const auto bound = std::lower_bound(kBounds.begin(), kBounds.end(), seconds);
  ++buckets_[static_cast<size_t>(bound - kBounds.begin())];
  ++count_;
  sum_ += seconds;
}

ClientMetric::Histogram DurationHistogram::Collect() const {
  ClientMetric::Histogram histogram;
  histogram.sample_count = count_;
  histogram.sample_sum = sum_;
  uint64_t cumulative = 0;
  for (size_t i = 0; i < buckets_.size(); ++i) {
    cumulative += buckets_[i];
    ClientMetric::Bucket bucket;
    bucket.cumulative_count = cumulative;
    bucket.upper_bound = i < kBounds.size() ? kBounds[i] : std::numeric_limits<double>::infinity();
    histogram.bucket.push_back(bucket);
  }
  return histogram;
}

uint64_t& Metrics::ProviderCalls(const std::string& provider, const std::string& verb,
                                 const std::string& outcome) {
  return provider_calls_[{provider, verb, outcome}];
}

std::vector<MetricFamily> Metrics::Collect() const {
  std::vector<MetricFamily> families;
  MetricFamily states =
      Family("boxkeeper_tasks", "Tasks in the store by state.", MetricType::Gauge);
  for (int i = v1::TASK_STATE_QUEUED; i < v1::TaskState_ARRAYSIZE; ++i) {
    Add(states, static_cast<double>(tasks[i]),
        {{"state", Word(v1::TaskState_Name(static_cast<v1::TaskState>(i)), "TASK_STATE_")}});
  }
  families.push_back(std::move(states));

  MetricFamily outcomes =
      Family("boxkeeper_submits_total", "Submitted items by outcome.", MetricType::Counter);
  for (int i = v1::SubmitResult::ACCEPTED; i < v1::SubmitResult::Outcome_ARRAYSIZE; ++i) {
    const auto outcome = static_cast<v1::SubmitResult::Outcome>(i);
    Add(outcomes, static_cast<double>(submits[i]),
        {{"outcome", Word(v1::SubmitResult::Outcome_Name(outcome), "")}});
  }
  families.push_back(std::move(outcomes));

  MetricFamily ends =
      Family("boxkeeper_task_ends_total", "Ended tasks by reason.", MetricType::Counter);
  for (int i = v1::REASON_EXIT_CODE; i < v1::Reason_ARRAYSIZE; ++i) {
    Add(ends, static_cast<double>(task_ends[i]),
        {{"reason", Word(v1::Reason_Name(static_cast<v1::Reason>(i)), "REASON_")}});
  }
  families.push_back(std::move(ends));

  MetricFamily calls = Family("boxkeeper_provider_calls_total",
                              "Calls to providers by verb and outcome.", MetricType::Counter);
  for (const auto& [key, count] : provider_calls_) {
    const auto& [provider, verb, outcome] = key;
    Add(calls, static_cast<double>(count),
        {{"provider", provider}, {"verb", verb}, {"outcome", outcome}});
  }
  families.push_back(std::move(calls));

  const auto counter = [&](const char* name, const char* help, uint64_t value) {
    families.push_back(Single(name, help, MetricType::Counter, static_cast<double>(value)));
  };
  const auto gauge = [&](const char* name, const char* help, double value) {
    families.push_back(Single(name, help, MetricType::Gauge, value));
  };
  counter("boxkeeper_events_total", "Events journalled.", events);
  gauge("boxkeeper_unacknowledged_events", "Events that no owner has acknowledged yet.",
        static_cast<double>(unacknowledged_events));
  gauge("boxkeeper_event_subscribers", "Open event streams.",
        static_cast<double>(event_subscribers));
  gauge("boxkeeper_live_sandboxes", "Sandboxes that exist or may exist.",
        static_cast<double>(live_sandboxes));
  counter("boxkeeper_log_stored_bytes_total", "Bytes of task output confirmed by the log store.",
          log_bytes_stored);
  counter("boxkeeper_log_dropped_bytes_total",
          "Bytes of task output dropped by the per-task limit or a full spool.", log_bytes_dropped);
  gauge("boxkeeper_log_waiting_bytes", "Bytes of task output spooled and not stored yet.",
        static_cast<double>(log_bytes_waiting));
  counter("boxkeeper_log_store_failures_total", "Failed calls of the log store.",
          log_store_failures);
  counter("boxkeeper_log_redactions_total",
          "Secret values overwritten in task output that was stored.", log_redactions);
  gauge("boxkeeper_spool_bytes", "Disk space of spooled task output.",
        static_cast<double>(spool_bytes));
  gauge("boxkeeper_blobs", "Blobs stored by PutBlob.", static_cast<double>(blobs));
  gauge("boxkeeper_blob_bytes", "Bytes of the blobs stored by PutBlob.",
        static_cast<double>(blob_bytes));
  gauge("boxkeeper_spool_full", "1 while the spool is at spool.max_bytes and nothing can go.",
        spool_full ? 1 : 0);
  gauge("boxkeeper_log_held_tasks",
        "Running tasks whose output is not read until the log store has taken some.",
        static_cast<double>(log_held_tasks));
  counter("boxkeeper_spools_dropped_total",
          "Spools of stored logs dropped early because spool.max_bytes pressed.", spools_dropped);
  counter("boxkeeper_rejected_transitions_total", "Moves the state table does not allow.",
          rejected_transitions);
  counter("boxkeeper_queue_refusals_total", "Requests turned away because a queue was full.",
          queue_refusals.load(std::memory_order_relaxed));
  counter("boxkeeper_unauthenticated_total", "Calls without a valid token.",
          unauthenticated.load(std::memory_order_relaxed));
  gauge("boxkeeper_ready", "1 when the daemon takes and starts work.", ready ? 1 : 0);
  gauge("process_resident_memory_bytes", "Resident memory.", ResidentBytes());
  gauge("process_open_fds", "Open file descriptors.", OpenDescriptors());
  families.push_back(Histogram("boxkeeper_store_commit_seconds",
                               "Time from a batch's write to its sync.", store_commit));
  families.push_back(
      Histogram("boxkeeper_loop_lag_seconds", "How late the event loop's timer fired.", loop_lag));
  return families;
}

}  // namespace boxkeeper::daemon
