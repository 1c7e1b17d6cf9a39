// Moves collected outputs to the log store, after their task's end.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "base/clock.h"
#include "base/file_system.h"
#include "base/id128.h"
#include "base/rng.h"
#include "logs/object_store.h"

namespace boxkeeper::artifacts {

struct ArtifactShipperOptions {
  size_t concurrency = 4;  // tasks whose outputs are being stored at a time
  std::chrono::milliseconds retry_initial{500};
  std::chrono::milliseconds retry_max{60'000};
};

// For metrics and Admin.Status.
struct ArtifactShipperStatus {
  uint64_t stored_files = 0;
  uint64_t stored_bytes = 0;
  uint64_t pending = 0;    // tasks whose outputs are not all stored
  uint64_t failing = 0;    // of these, those whose last attempt failed
  std::string last_error;  // of the store; empty once an attempt has succeeded again
};

// Keeps nothing on disk of its own: what is collected never changes, its objects' names and bytes
// are a function of it, so after a crash everything not known to be stored is simply stored again.
// Lives on the loop; blocking work runs on `pool`. Memory is flat: files are read as they are sent.
// Stop: `co_await Stop()` on the loop, then destroy.
class ArtifactShipper {
 public:
  struct Deps {
    base::Clock& clock;
    base::Rng& rng;
    base::FileSystem& files;
    logs::ObjectStore& store;
    boost::asio::any_io_executor loop;
    boost::asio::any_io_executor pool;
    // On the loop, once per Ship, when the store has every file and the manifest, durably; also
    // where nothing was collected. Never from within Ship.
    std::function<void(base::TaskId)> on_stored;
  };
  ArtifactShipper(Deps deps, ArtifactShipperOptions options);
  ~ArtifactShipper();

  // Stores what the manifest at this path names, trying until it works. A task that is being
  // shipped already goes on.
  void Ship(const base::TaskId& task, const std::string& manifest_path);
  // What is in flight ends without a callback.
  void Forget(const base::TaskId& task);
  ArtifactShipperStatus status() const;

  // Begins nothing new; kDeadlineExceeded if a call of the store still is in flight at `deadline`.
  boost::asio::awaitable<absl::Status> Stop(base::BootTime deadline);

 private:
  class Impl;
  std::shared_ptr<Impl> impl_;
};

}  // namespace boxkeeper::artifacts
