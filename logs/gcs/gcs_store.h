// `gs://bucket/prefix`: the log store in Google Cloud Storage.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "base/clock.h"
#include "base/file_system.h"
#include "base/rng.h"
#include "logs/gcs/credentials.h"
#include "logs/object_store.h"
#include "logs/remote/environment.h"
#include "logs/remote/retry.h"

namespace boxkeeper::logs {

// Objects cannot grow: Extend uploads the tail as _boxkeeper/tmp/<unique> and lets the server
// compose both, on condition that the object is still the one that was looked at; where something
// must be cut off, the whole is uploaded anew. Pieces above `block_bytes` are resumable uploads.
// Every object's CRC-32C is sent or compared.
//
// On the loop's thread; `pool` reads credentials and pieces. One daemon writes to an object at a
// time. No call may be under way when it is destroyed.
class GcsStore final : public ObjectStore {
 public:
  struct Deps {
    base::Clock& clock;
    base::Rng& rng;
    base::FileSystem& files;
    boost::asio::any_io_executor loop;
    boost::asio::any_io_executor pool;
  };
  struct Options {
    gcs::Settings settings = {};
    remote::Environment environment = remote::ProcessEnvironment;
    remote::RetryOptions retry = {};
    size_t block_bytes = 4 << 20;  // a multiple of 256 KiB
    std::string ca_file = {};      // "" = the system's
  };
  // kInvalidArgument for a bad URL or endpoint. Reads no file and asks nobody yet.
  static absl::StatusOr<std::unique_ptr<GcsStore>> Create(Deps deps, const std::string& url,
                                                          Options options);
  ~GcsStore() override;

  const std::string& url() const override;
  bool can_append() const override { return false; }
  // Not called, as can_append says: kUnimplemented.
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
  // Writes, reads, lists and deletes a probe; removes temporary objects that a daemon which died
  // left behind more than a day ago.
  boost::asio::awaitable<absl::Status> Check() override;

 private:
  class Impl;
  explicit GcsStore(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace boxkeeper::logs
