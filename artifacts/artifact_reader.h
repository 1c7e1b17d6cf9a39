// Reads a task's outputs: from the spool while it is there, from the log store afterwards.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "base/file_system.h"
#include "base/id128.h"
#include "boxkeeper/v1/task.pb.h"
#include "logs/object_store.h"

namespace boxkeeper::artifacts {

// Where to look.
struct ArtifactSource {
  base::TaskId task;
  std::string manifest_path;
  bool stored = false;  // the log store has them
};

// Stateless; lives on the loop.
class ArtifactReader {
 public:
  struct Deps {
    base::FileSystem& files;
    logs::ObjectStore& store;
    boost::asio::any_io_executor pool;
  };
  explicit ArtifactReader(Deps deps) : deps_(std::move(deps)) {}

  // Every artifact. kNotFound: nothing was collected.
  boost::asio::awaitable<absl::StatusOr<v1::OutputsStatus>> List(ArtifactSource source);
  // Up to `bytes_max` of one of them, from `offset`; empty only at its end. kDataLoss: it is
  // shorter than it was.
  boost::asio::awaitable<absl::StatusOr<std::string>> Read(ArtifactSource source,
                                                           v1::Artifact artifact, uint64_t offset,
                                                           size_t bytes_max);

 private:
  const Deps deps_;
};

}  // namespace boxkeeper::artifacts
