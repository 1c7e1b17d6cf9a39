// `s3://`: the log store in a bucket of Amazon S3 or of a server that speaks its protocol.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "base/clock.h"
#include "base/file_system.h"
#include "base/rng.h"
#include "base/task_group.h"
#include "logs/object_store.h"
#include "logs/remote/environment.h"

namespace boxkeeper::logs::s3 {

struct S3StoreOptions {
  std::string url;       // "s3://BUCKET[/PREFIX]"
  std::string endpoint;  // "" = AWS_ENDPOINT_URL_S3, AWS_ENDPOINT_URL, else Amazon's
  std::string region;    // "" = AWS_REGION, AWS_DEFAULT_REGION, the profile's, else us-east-1
  bool path_style = false;
  std::string access_key_file;  // both or none
  std::string secret_key_file;
  std::string profile;  // "" = AWS_PROFILE, else "default"
  // Of a part of an upload; what is larger is uploaded in parts. S3 wants 5 MiB at least.
  uint64_t part_bytes = 8 << 20;
  // Heads from here on are copied within the storage: S3 wants parts of that size at least.
  uint64_t copy_min = 5 << 20;
};

// Objects cannot grow: Extend copies within the storage from 5 MiB on, and sends the head again
// below. Pieces above 8 MiB are uploaded in parts; such uploads that nobody finished are aborted
// when they are a day old (a week, where the URL has no prefix), looked for a minute after the
// start and every six hours.
//
// Credentials: the two files; else the environment, web identity, the profile, the container's
// agent, the EC2 instance, in this order; a configured profile stands before all of these. TLS:
// the system's certificates, or those of AWS_CA_BUNDLE. On the loop; files are read and bytes
// hashed on `pool`.
class S3Store final : public ObjectStore {
 public:
  struct Deps {
    base::Clock& clock;
    base::Rng& rng;
    base::FileSystem& files;
    boost::asio::any_io_executor loop;
    boost::asio::any_io_executor pool;
    remote::Environment environment = remote::ProcessEnvironment;
  };

  // Reads AWS's configuration files, connects to nothing. kInvalidArgument says what is wrong with
  // the options.
  static absl::StatusOr<std::unique_ptr<S3Store>> Create(Deps deps, S3StoreOptions options);
  ~S3Store() override;

  const std::string& url() const override;
  bool can_append() const override { return false; }
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
  S3Store(base::Clock& clock, boost::asio::any_io_executor loop, std::shared_ptr<Impl> impl);
  std::shared_ptr<Impl> impl_;
  base::TaskGroup group_;
};

}  // namespace boxkeeper::logs::s3
