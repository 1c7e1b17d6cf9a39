// `azure://container/prefix`: the log store in Azure Blob Storage.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "base/clock.h"
#include "base/file_system.h"
#include "base/rng.h"
#include "logs/azure/credentials.h"
#include "logs/object_store.h"
#include "logs/remote/retry.h"

namespace boxkeeper::logs {

// Objects that grow are append blobs: a block is stored whole or not at all, at the place where it
// belongs, so a repeat after a lost answer changes nothing. An append blob cannot be cut, and takes
// 50 000 blocks: where one must lose its end (left behind by a writer that died) or is full, its
// bytes are copied into fewer, larger blocks of _boxkeeper/tmp/<unique>, which then takes its place
// by a copy within the account. Pieces are block blobs; blocks of an upload that was given up are
// dropped by Azure after a week. Bytes are sent and read with their MD5.
//
// On the loop's thread; `pool` reads credentials and pieces. One daemon writes to an object at a
// time. No call may be under way when it is destroyed.
class AzureStore final : public ObjectStore {
 public:
  struct Deps {
    base::Clock& clock;
    base::Rng& rng;
    base::FileSystem& files;
    boost::asio::any_io_executor loop;
    boost::asio::any_io_executor pool;
  };
  struct Options {
    azure::Settings settings = {};
    remote::Environment environment = remote::ProcessEnvironment;
    remote::RetryOptions retry = {};
    size_t block_bytes = 4 << 20;  // of large pieces and of rewritten blobs
    std::string ca_file = {};      // "" = the system's
  };
  // kInvalidArgument for a bad URL, or if nothing says which account it is. Reads no file and asks
  // nobody yet.
  static absl::StatusOr<std::unique_ptr<AzureStore>> Create(Deps deps, const std::string& url,
                                                            Options options);
  ~AzureStore() override;

  const std::string& url() const override;
  bool can_append() const override { return true; }
  boost::asio::awaitable<absl::Status> WriteAt(std::string name, uint64_t offset,
                                               std::string data) override;
  boost::asio::awaitable<absl::Status> Sync(std::string name, uint64_t size) override;
  boost::asio::awaitable<absl::Status> Put(Piece piece) override;
  // Of an append blob too; a reader may see it empty for the moment of the copy.
  boost::asio::awaitable<absl::Status> Extend(uint64_t from, Piece tail) override;
  boost::asio::awaitable<absl::Status> Remove(std::string name) override;
  boost::asio::awaitable<absl::StatusOr<std::string>> Read(std::string name, uint64_t offset,
                                                           size_t max_bytes) override;
  boost::asio::awaitable<absl::StatusOr<std::vector<std::string>>> List(
      std::string prefix) override;
  // Writes, reads, lists and deletes a probe; removes temporary blobs that a daemon which died left
  // behind more than a day ago.
  boost::asio::awaitable<absl::Status> Check() override;

 private:
  class Impl;
  explicit AzureStore(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace boxkeeper::logs
