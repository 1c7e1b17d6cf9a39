// The calls of Google Cloud Storage that the store is made of.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/json/object.hpp>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "logs/gcs/gcs_client.h"

namespace boxkeeper::logs::gcs {

struct ObjectState {
  uint64_t size = 0;
  std::string generation;
  std::string crc32c;  // as Google writes it; "" if it was not said
};

struct ListedObject {
  std::string name;
  absl::Time updated = absl::InfiniteFuture();
};

// The next `size` bytes of an object to be, fewer only at its end.
using BlockSource = std::function<boost::asio::awaitable<absl::StatusOr<std::string>>(size_t size)>;

// On the loop's thread; `client` outlives it. Names are whole names of objects.
class GcsObjects {
 public:
  // `block_bytes`: of what is sent in one request; a multiple of 256 KiB.
  GcsObjects(GcsClient& client, size_t block_bytes) : client_(client), block_bytes_(block_bytes) {}

  // kNotFound if there is no such object.
  boost::asio::awaitable<absl::StatusOr<ObjectState>> Stat(std::string name);
  // Up to `size` bytes, less at the end of the object only; of that generation, if one is named.
  // kNotFound.
  boost::asio::awaitable<absl::StatusOr<std::string>> ReadRange(std::string name, uint64_t offset,
                                                                size_t size,
                                                                std::string generation = "");

  // Makes the object the `size` bytes of `source`, whole or not at all; checked by CRC-32C. Small
  // ones go in one request, others by a resumable upload, which is cancelled if it fails. An error
  // of the source ends it. Its CRC-32C.
  boost::asio::awaitable<absl::StatusOr<uint32_t>> Upload(std::string name, uint64_t size,
                                                          BlockSource source);
  // Makes `name`, if it is still of that generation, itself followed by `tail`, by the server.
  // False if it is of another one.
  boost::asio::awaitable<absl::StatusOr<bool>> Compose(std::string name, std::string generation,
                                                       std::string tail);
  // One that is not there is success.
  boost::asio::awaitable<absl::Status> Delete(std::string name);
  // At most `max`, sorted by name.
  boost::asio::awaitable<absl::StatusOr<std::vector<ListedObject>>> List(std::string prefix,
                                                                         size_t max);

 private:
  boost::asio::awaitable<absl::StatusOr<uint32_t>> UploadAtOnce(std::string name, std::string data);
  GcsClient& client_;
  const size_t block_bytes_;
};

// What an answer says about an object. kUnavailable if it says nothing.
absl::StatusOr<ObjectState> ParseState(const std::string& what, const std::string& body);

}  // namespace boxkeeper::logs::gcs
