// Durations of single operations, and their percentiles.
#ifndef BOXKEEPER_BENCH_LATENCIES_H_
#define BOXKEEPER_BENCH_LATENCIES_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace boxkeeper::bench {

// Keeps every value (8 bytes each), so that percentiles are exact. Not thread-safe: one per thread
// or slot, then `Merge`.
class Latencies {
 public:
  void Add(int64_t nanoseconds) {
    values_.push_back(nanoseconds);
    sorted_ = false;
  }
  void Merge(const Latencies& other);
  size_t size() const { return values_.size(); }

  // The smallest value that at least `percent` of all values do not exceed (nearest rank), in
  // milliseconds; 0 if empty.
  double PercentileMs(double percent);

  // {"count":N,"p50_ms":...,"p90_ms":...,"p99_ms":...,"max_ms":...}
  std::string Json();

 private:
  std::vector<int64_t> values_;
  bool sorted_ = false;
};

}  // namespace boxkeeper::bench

#endif  // BOXKEEPER_BENCH_LATENCIES_H_
