#include "daemon/service/loop_bridge.h"

#include <algorithm>
#include <boost/asio/post.hpp>
#include <iterator>
#include <limits>
#include <memory>
#include <utility>

namespace boxkeeper::daemon {

namespace {

// Requests handled before the loop's other work gets its turn: a request may be a batch of a
// thousand items.
constexpr size_t kRequestsPerTurn = 32;

constexpr size_t kAnswersPerWake = 8;

void Call(LoopBridge::Job job) { job(); }

}  // namespace

LoopBridge::LoopBridge(boost::asio::io_context& loop, Metrics& metrics, Options options)
    : loop_(loop),
      metrics_(metrics),
      options_(options),
      requests_(loop.get_executor(), {.bound = options.queue_max, .slice = kRequestsPerTurn}, Call),
      signals_(loop.get_executor(), {.bound = std::numeric_limits<size_t>::max()}, Call),
      senders_(options.senders) {}

LoopBridge::~LoopBridge() { Stop(); }

bool LoopBridge::ToLoop(Job job) {
  if (requests_.Push(std::move(job))) return true;
  metrics_.queue_refusals.fetch_add(1, std::memory_order_relaxed);
  return false;
}

void LoopBridge::ToLoopAlways(Job job) { (void)signals_.Push(std::move(job)); }

bool LoopBridge::Reserve(int64_t bytes) {
  if (request_bytes_.fetch_add(bytes, std::memory_order_relaxed) + bytes <=
      options_.request_bytes_max) {
    return true;
  }
  Release(bytes);
  metrics_.queue_refusals.fetch_add(1, std::memory_order_relaxed);
  return false;
}

void LoopBridge::Release(int64_t bytes) {
  request_bytes_.fetch_sub(bytes, std::memory_order_relaxed);
}

void LoopBridge::OffLoop(Job job) {
  outbox_.push_back(std::move(job));
  if (outbox_.size() == 1) boost::asio::post(loop_, [this] { Flush(); });
}

void LoopBridge::Flush() {
  // One hand-over per thread, not per answer, and none for a handful: waking a thread costs about
  // as much as sending one.
  const size_t share =
      std::max(kAnswersPerWake, (outbox_.size() + options_.senders - 1) / options_.senders);
  for (size_t from = 0; from < outbox_.size(); from += share) {
    const size_t to = std::min(outbox_.size(), from + share);
    auto jobs = std::make_shared<std::vector<Job>>(std::make_move_iterator(outbox_.begin() + from),
                                                   std::make_move_iterator(outbox_.begin() + to));
    boost::asio::post(senders_, [jobs] {
      for (Job& send : *jobs) send();
    });
  }
  outbox_.clear();
}

void LoopBridge::Stop() { senders_.join(); }

}  // namespace boxkeeper::daemon
