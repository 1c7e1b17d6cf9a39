// The one wait of a process: descriptors and deadlines.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <unordered_map>
#include <utility>

#include "base/core/unique_fd.h"

namespace boxkeeper::launcher {

// An epoll set with callbacks, and timers on CLOCK_BOOTTIME (which counts a suspended machine's
// time too). One thread. Callbacks may add and remove anything, themselves included.
class EventLoop {
 public:
  using Callback = std::function<void(uint32_t events)>;
  using TimerId = uint64_t;

  EventLoop();

  // False when the system lacks descriptors or memory; a process cannot work without it.
  bool valid() const { return epoll_.valid() && timer_.valid(); }

  // Watches `fd` level-triggered for EPOLLIN, EPOLLOUT... until Remove, which must come before the
  // descriptor is closed. 0 or an errno value.
  int Add(int fd, uint32_t events, Callback callback);
  void Modify(int fd, uint32_t events);
  void Remove(int fd);

  // Calls back once at `boot_ns` (base::BootNs) or soon after.
  TimerId At(uint64_t boot_ns, std::function<void()> callback);
  void Cancel(TimerId timer);

  // Waits for something to do and does it.
  void RunOnce();

 private:
  struct Watch {
    uint64_t generation;
    Callback callback;
  };

  void ArmTimer();
  void RunDueTimers();

  base::UniqueFd epoll_;
  base::UniqueFd timer_;
  uint64_t armed_ns_ = 0;
  uint64_t next_generation_ = 1;
  uint64_t next_timer_ = 1;
  std::unordered_map<int, Watch> watches_;
  std::map<std::pair<uint64_t, TimerId>, std::function<void()>> due_;  // by (time, id)
  std::unordered_map<TimerId, uint64_t> timers_;                       // id -> time
};

}  // namespace boxkeeper::launcher
