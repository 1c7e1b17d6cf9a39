// `file://`: the log store in a directory of this machine (or a mounted one).
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "base/file_system.h"
#include "logs/group_sync.h"
#include "logs/object_store.h"

namespace boxkeeper::logs {

// Objects are files (0640) below the base directory; missing directories are made (0750); the
// process's umask applies. A growing object is written in place at its offset; a piece (with what
// it extends) is written as <base>/_boxkeeper/tmp/<unique>, synced and renamed, so that no
// temporary name shares a prefix with an object. Sync and Put return OK only when the bytes and the
// names are on the disk. One daemon writes to a base directory under one path at a time. Blocking
// calls run on `pool`.
class FileStore final : public ObjectStore {
 public:
  struct Deps {
    base::FileSystem& files;
    boost::asio::any_io_executor pool;
  };
  // `url` as in ParseFileUrl. Makes nothing yet.
  static absl::StatusOr<std::unique_ptr<FileStore>> Create(Deps deps, const std::string& url);
  ~FileStore() override;

  const std::string& url() const override;
  bool can_append() const override { return true; }
  boost::asio::awaitable<absl::Status> WriteAt(std::string name, uint64_t offset,
                                               std::string data) override;
  boost::asio::awaitable<absl::Status> Sync(std::string name, uint64_t size) override;
  boost::asio::awaitable<absl::Status> Put(Piece piece) override;
  boost::asio::awaitable<absl::Status> Extend(uint64_t from, Piece tail) override;
  boost::asio::awaitable<absl::Status> Remove(std::string name) override;
  boost::asio::awaitable<absl::StatusOr<std::string>> Read(std::string name, uint64_t offset,
                                                           size_t max_bytes) override;
  boost::asio::awaitable<absl::StatusOr<std::vector<std::string>>> List(
      std::string prefix) override;
  boost::asio::awaitable<absl::Status> Check() override;

 private:
  class Impl;
  explicit FileStore(std::shared_ptr<Impl> impl);
  std::shared_ptr<Impl> impl_;
  GroupSync group_;
};

}  // namespace boxkeeper::logs
