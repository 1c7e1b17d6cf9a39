// Every timer of every task in one ordered set behind one alarm: a waiting task is a table row, not
// a timer object.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <functional>
#include <memory>
#include <utility>

#include "absl/container/btree_set.h"
#include "absl/container/flat_hash_map.h"
#include "base/clock.h"

namespace boxkeeper::daemon {

enum class TimerKind : uint8_t {
  kStartDeadline,  // of a task that has no start intent yet
  kBackoff,        // a QUEUED task may be dispatched again
  kLease,          // the client has not renewed
  kRunTimeout,     // the daemon's back-up of the supervisor's clock
  kHandover,       // the live task of a key has a waiting successor
};

// At most one timer per (subject, kind); Set replaces it. Used on the loop.
class TimerQueue {
 public:
  // `due`: when it should have fired.
  using Fire = std::function<void(int64_t subject, TimerKind kind, base::BootTime due)>;

  TimerQueue(boost::asio::any_io_executor executor, base::Clock& clock, Fire fire)
      : clock_(clock), fire_(std::move(fire)), alarm_(clock.NewAlarm(std::move(executor))) {}

  void Set(int64_t subject, TimerKind kind, base::BootTime at) {
    Clear(subject, kind);
    due_.insert({at, {subject, kind}});
    at_[{subject, kind}] = at;
    Arm();
  }

  void Clear(int64_t subject, TimerKind kind) {
    auto it = at_.find({subject, kind});
    if (it == at_.end()) return;
    due_.erase({it->second, it->first});
    at_.erase(it);
  }

  // Fires nothing any more.
  void Stop() {
    stopped_ = true;
    alarm_->Cancel();
  }

  size_t size() const { return due_.size(); }

 private:
  using Key = std::pair<int64_t, TimerKind>;
  static constexpr int kFiresPerSlice = 256;

  // The alarm may stand earlier than the first timer (after a Clear); it then only re-arms.
  void Arm() {
    if (stopped_ || due_.empty() || (armed_ && armed_at_ <= due_.begin()->first)) return;
    armed_ = true;
    armed_at_ = due_.begin()->first;
    alarm_->Set(armed_at_, [this] { OnAlarm(); });
  }

  void OnAlarm() {
    armed_ = false;
    const base::BootTime now = clock_.Boot();
    // Many at once are fired in slices: the loop has others to serve.
    for (int i = 0; i < kFiresPerSlice && !due_.empty() && due_.begin()->first <= now; ++i) {
      const auto [due, key] = *due_.begin();
      due_.erase(due_.begin());
      at_.erase(key);
      fire_(key.first, key.second, due);
    }
    Arm();
  }

  base::Clock& clock_;
  Fire fire_;
  std::unique_ptr<base::Alarm> alarm_;
  absl::btree_set<std::pair<base::BootTime, Key>> due_;
  absl::flat_hash_map<Key, base::BootTime> at_;
  bool armed_ = false;
  bool stopped_ = false;
  base::BootTime armed_at_{};
};

}  // namespace boxkeeper::daemon
