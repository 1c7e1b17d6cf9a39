// Group commit: what many coroutines want made durable at the same time is made so by one pass.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "base/file_system.h"

namespace boxkeeper::logs {

// A written file that is to be synced, then renamed if `rename_from` is not empty, then to have its
// name `path` made durable.
struct SyncItem {
  std::unique_ptr<base::File> file;
  std::string rename_from;
  std::string path;
};

// One pass runs at a time, on the pool; who comes meanwhile shares the next. So a lone caller waits
// for nobody, and a hundred cost two commits of the file system's journal, not three hundred that
// the store's own syncs would have to queue behind (docs/performance.md).
//
// Called on one loop; coroutines resume there.
class GroupSync {
 public:
  // Makes all items durable; one status each, in order. Blocking, on the pool.
  using Pass = std::function<std::vector<absl::Status>(std::vector<SyncItem>& items)>;

  GroupSync(boost::asio::any_io_executor pool, Pass pass);
  ~GroupSync();

  boost::asio::awaitable<absl::Status> Sync(SyncItem item);

 private:
  struct State;
  std::shared_ptr<State> state_;
};

}  // namespace boxkeeper::logs
