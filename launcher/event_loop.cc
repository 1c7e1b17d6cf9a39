#include "launcher/event_loop.h"

#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <cerrno>

#include "base/core/proc.h"

namespace boxkeeper::launcher {
namespace {

constexpr int kEventsPerWait = 64;

// The kernel gives one word back: the descriptor, and a generation that tells a closed and reused
// one from the one that was meant.
uint64_t Key(int fd, uint64_t generation) { return generation << 32 | static_cast<uint32_t>(fd); }

}  // namespace

EventLoop::EventLoop()
    : epoll_(epoll_create1(EPOLL_CLOEXEC)),
      timer_(timerfd_create(CLOCK_BOOTTIME, TFD_CLOEXEC | TFD_NONBLOCK)) {
  if (!valid()) return;
  Add(timer_.get(), EPOLLIN, [this](uint32_t) {
    uint64_t expirations;
    (void)!read(timer_.get(), &expirations, sizeof(expirations));
    armed_ns_ = 0;
    RunDueTimers();
  });
}

int EventLoop::Add(int fd, uint32_t events, Callback callback) {
  const uint64_t generation = next_generation_++ & 0xffffffff;
  epoll_event event{.events = events, .data = {.u64 = Key(fd, generation)}};
  if (epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event) != 0) return errno;
  watches_[fd] = Watch{generation, std::move(callback)};
  return 0;
}

void EventLoop::Modify(int fd, uint32_t events) {
  epoll_event event{.events = events, .data = {.u64 = Key(fd, watches_.at(fd).generation)}};
  epoll_ctl(epoll_.get(), EPOLL_CTL_MOD, fd, &event);
}

void EventLoop::Remove(int fd) {
  if (watches_.erase(fd) > 0) epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, fd, nullptr);
}

EventLoop::TimerId EventLoop::At(uint64_t boot_ns, std::function<void()> callback) {
  const TimerId id = next_timer_++;
  due_.emplace(std::pair(boot_ns, id), std::move(callback));
  timers_.emplace(id, boot_ns);
  return id;
}

void EventLoop::Cancel(TimerId timer) {
  const auto found = timers_.find(timer);
  if (found == timers_.end()) return;
  due_.erase(std::pair(found->second, timer));
  timers_.erase(found);
}

void EventLoop::RunOnce() {
  ArmTimer();
  epoll_event events[kEventsPerWait];
  const int count = epoll_wait(epoll_.get(), events, kEventsPerWait, -1);
  for (int i = 0; i < count; ++i) {
    const int fd = static_cast<int>(events[i].data.u64 & 0xffffffff);
    const auto watch = watches_.find(fd);
    if (watch == watches_.end() || watch->second.generation != events[i].data.u64 >> 32) continue;
    // A copy: the callback may remove its own watch.
    const Callback callback = watch->second.callback;
    callback(events[i].events);
  }
}

// Arms for the first deadline; one that is later than needed is left (it fires for nothing, once).
void EventLoop::ArmTimer() {
  if (due_.empty()) return;
  const uint64_t first = due_.begin()->first.first;
  if (armed_ns_ != 0 && armed_ns_ <= first) return;
  // A zero would disarm.
  const uint64_t at = first == 0 ? 1 : first;
  itimerspec when{};
  when.it_value.tv_sec = static_cast<time_t>(at / 1'000'000'000);
  when.it_value.tv_nsec = static_cast<long>(at % 1'000'000'000);
  if (timerfd_settime(timer_.get(), TFD_TIMER_ABSTIME, &when, nullptr) == 0) armed_ns_ = at;
}

void EventLoop::RunDueTimers() {
  while (!due_.empty() && due_.begin()->first.first <= base::BootNs()) {
    const auto first = due_.begin();
    const std::function<void()> callback = std::move(first->second);
    timers_.erase(first->first.second);
    due_.erase(first);
    callback();
  }
}

}  // namespace boxkeeper::launcher
