// Tells followers that a spool file has grown: one poll of all files that anybody waits for, each
// at its own pace.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <chrono>
#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "base/clock.h"
#include "base/file_system.h"

namespace boxkeeper::logs {

// Polling, not inotify: it needs no descriptor or watch per task, works on every file system, and
// runs on virtual time. A file is looked at kMinInterval after its follower came, then ever rarer
// up to kMaxInterval; one job on the pool looks at all that are due. Used on the loop. Destroy it
// after the last waiter is gone, or Stop() it.
class GrowthWatcher {
 public:
  static constexpr std::chrono::milliseconds kMinInterval{10};
  static constexpr std::chrono::milliseconds kMaxInterval{200};

  struct Deps {
    base::Clock& clock;
    base::FileSystem& files;
    boost::asio::any_io_executor loop;
    boost::asio::any_io_executor pool;
  };
  explicit GrowthWatcher(Deps deps);
  ~GrowthWatcher();

  // Completes with OK once the file is longer than `known_size` or Wake(topic) was called;
  // kCancelled after Stop or when its cancellation slot is used. A spurious OK is possible: read,
  // and wait again. `topic` is what the core calls Wake with: the task's id.
  boost::asio::awaitable<absl::Status> WaitForGrowth(std::string topic, std::string path,
                                                     uint64_t known_size);

  // Completes every wait of `topic`: the task's state changed, its final sizes are known.
  void Wake(const std::string& topic);

  // Completes every wait with kCancelled; later ones too.
  void Stop();

 private:
  class Impl;
  std::shared_ptr<Impl> impl_;
};

}  // namespace boxkeeper::logs
