#include "logs/growth_watcher.h"

#include <algorithm>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/post.hpp>
#include <map>
#include <utility>
#include <vector>

#include "base/wait_list.h"

namespace boxkeeper::logs {

namespace asio = boost::asio;

class GrowthWatcher::Impl : public std::enable_shared_from_this<Impl> {
 public:
  explicit Impl(Deps deps) : deps_(std::move(deps)), alarm_(deps_.clock.NewAlarm(deps_.loop)) {}

  // One waiting coroutine; lies in its frame.
  struct Waiter {
    Waiter(base::Clock& clock, std::string t, std::string p, uint64_t size)
        : topic(std::move(t)), path(std::move(p)), known_size(size), done(clock) {}
    std::string topic;
    std::string path;
    uint64_t known_size;
    std::chrono::milliseconds interval = kMinInterval;
    base::BootTime due;
    bool polling = false;
    bool woken = false;
    base::WaitList done;
  };

  // Holds a waiter in the table while its coroutine waits, however that ends.
  class Registration {
   public:
    Registration(std::weak_ptr<Impl> impl, Waiter& waiter) : impl_(std::move(impl)) {
      if (auto alive = impl_.lock()) id_ = alive->Add(waiter);
    }
    ~Registration() {
      if (auto alive = impl_.lock()) alive->waiters_.erase(id_);
    }
    Registration(const Registration&) = delete;
    Registration& operator=(const Registration&) = delete;

   private:
    std::weak_ptr<Impl> impl_;
    uint64_t id_ = 0;
  };

  base::Clock& clock() { return deps_.clock; }
  bool stopped() const { return stopped_; }

  void Wake(const std::string& topic) {
    for (auto& [id, waiter] : waiters_) {
      if (waiter->topic == topic) Complete(*waiter);
    }
  }

  void Stop() {
    stopped_ = true;
    alarm_->Cancel();
    for (auto& [id, waiter] : waiters_) Complete(*waiter);
  }

 private:
  struct Look {
    uint64_t id = 0;
    std::string path;
    uint64_t size = 0;
  };

  uint64_t Add(Waiter& waiter) {
    waiter.due = deps_.clock.Boot() + waiter.interval;
    waiters_.emplace(++next_id_, &waiter);
    Arm();
    return next_id_;
  }

  static void Complete(Waiter& waiter) {
    waiter.woken = true;
    waiter.done.NotifyAll();
  }

  void Arm() {
    base::BootTime next = base::BootTime::max();
    for (const auto& [id, waiter] : waiters_) {
      if (!waiter->polling && !waiter->woken) next = std::min(next, waiter->due);
    }
    if (stopped_ || next == base::BootTime::max()) return alarm_->Cancel();
    alarm_->Set(next, [weak = weak_from_this()] {
      if (auto alive = weak.lock()) alive->Poll();
    });
  }

  // One job looks at all files that are due; those due within the shortest interval are taken
  // along.
  void Poll() {
    std::vector<Look> looks;
    const base::BootTime until = deps_.clock.Boot() + kMinInterval / 2;
    for (auto& [id, waiter] : waiters_) {
      if (waiter->polling || waiter->woken || waiter->due > until) continue;
      waiter->polling = true;
      looks.push_back({.id = id, .path = waiter->path});
    }
    if (looks.empty()) return Arm();
    auto job = [weak = weak_from_this(), &files = deps_.files, looks = std::move(looks),
                guard = asio::make_work_guard(deps_.loop)]() mutable {
      for (Look& look : looks) look.size = SizeOf(files, look.path);
      asio::post(guard.get_executor(), [weak = std::move(weak), looks = std::move(looks)] {
        if (auto alive = weak.lock()) alive->Polled(looks);
      });
    };
    asio::post(deps_.pool, std::move(job));
    Arm();
  }

  // A file that cannot be read counts as grown: its reader will meet the error and tell it.
  static uint64_t SizeOf(base::FileSystem& files, const std::string& path) {
    auto file = files.Open(path, {});
    if (absl::IsNotFound(file.status())) return 0;
    if (!file.ok()) return UINT64_MAX;
    auto size = (*file)->Size();
    return size.ok() ? *size : UINT64_MAX;
  }

  void Polled(const std::vector<Look>& looks) {
    const base::BootTime now = deps_.clock.Boot();
    for (const Look& look : looks) {
      const auto found = waiters_.find(look.id);
      if (found == waiters_.end()) continue;
      Waiter& waiter = *found->second;
      waiter.polling = false;
      if (look.size > waiter.known_size) {
        Complete(waiter);
      } else {
        waiter.interval = std::min(waiter.interval * 2, kMaxInterval);
        waiter.due = now + waiter.interval;
      }
    }
    Arm();
  }

  Deps deps_;
  std::unique_ptr<base::Alarm> alarm_;
  std::map<uint64_t, Waiter*> waiters_;
  uint64_t next_id_ = 0;
  bool stopped_ = false;
};

GrowthWatcher::GrowthWatcher(Deps deps) : impl_(std::make_shared<Impl>(std::move(deps))) {}
GrowthWatcher::~GrowthWatcher() { impl_->Stop(); }

asio::awaitable<absl::Status> GrowthWatcher::WaitForGrowth(std::string topic, std::string path,
                                                           uint64_t known_size) {
  // The frame holds the implementation weakly: the watcher may go while somebody waits.
  std::weak_ptr<Impl> weak = impl_;
  if (impl_->stopped()) co_return absl::CancelledError("log watcher stopped");
  Impl::Waiter waiter(impl_->clock(), std::move(topic), std::move(path), known_size);
  Impl::Registration registration(weak, waiter);
  absl::Status status = co_await waiter.done.Wait(base::BootTime::max());
  if (!status.ok()) co_return status;
  const auto alive = weak.lock();
  if (!alive || alive->stopped()) co_return absl::CancelledError("log watcher stopped");
  co_return absl::OkStatus();
}

void GrowthWatcher::Wake(const std::string& topic) { impl_->Wake(topic); }
void GrowthWatcher::Stop() { impl_->Stop(); }

}  // namespace boxkeeper::logs
