#include "bench/latencies.h"

#include <algorithm>
#include <cmath>

#include "absl/strings/str_format.h"

namespace boxkeeper::bench {

void Latencies::Merge(const Latencies& other) {
  values_.insert(values_.end(), other.values_.begin(), other.values_.end());
  sorted_ = false;
}

double Latencies::PercentileMs(double percent) {
  if (values_.empty()) return 0;
  if (!sorted_) std::sort(values_.begin(), values_.end());
  sorted_ = true;
  const double rank = std::ceil(percent / 100 * static_cast<double>(values_.size()));
  const size_t index = std::clamp<size_t>(static_cast<size_t>(rank), 1, values_.size()) - 1;
  return static_cast<double>(values_[index]) / 1e6;
}

std::string Latencies::Json() {
  return absl::StrFormat(R"({"count":%d,"p50_ms":%.4f,"p90_ms":%.4f,"p99_ms":%.4f,"max_ms":%.4f})",
                         values_.size(), PercentileMs(50), PercentileMs(90), PercentileMs(99),
                         PercentileMs(100));
}

}  // namespace boxkeeper::bench
