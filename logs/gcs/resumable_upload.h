// A resumable upload of Google Cloud Storage: an object of any size in flat memory, that survives
// cut connections.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <cstdint>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "logs/gcs/gcs_client.h"

namespace boxkeeper::logs::gcs {

// On the loop's thread; `client` outlives it. One that is neither finished nor cancelled is dropped
// by Google after a week, and no object comes of it.
class ResumableUpload {
 public:
  ResumableUpload(GcsClient& client, std::string name, uint64_t size)
      : client_(client), name_(std::move(name)), size_(size) {}

  boost::asio::awaitable<absl::Status> Begin();
  // Sends the next bytes: of all but the last block a multiple of 256 KiB. After an error that may
  // pass the server is asked how much it has, and the rest is sent. With the last one comes the
  // CRC-32C of all, as Google writes it; the answer's body, of the finished object, is `result()`.
  boost::asio::awaitable<absl::Status> Send(std::string block, std::string crc32c);
  boost::asio::awaitable<void> Cancel();

  bool finished() const { return !result_.empty(); }
  const std::string& result() const { return result_; }

 private:
  boost::asio::awaitable<absl::Status> SendRest(const std::string& block,
                                                const std::string& crc32c);
  boost::asio::awaitable<absl::Status> AskProgress();
  absl::Status Take(const base::http::Reply& reply);

  GcsClient& client_;
  const std::string name_;
  const uint64_t size_;
  std::string session_;
  uint64_t block_start_ = 0;  // offset of the block that is being sent
  uint64_t stored_ = 0;       // bytes that the server has
  bool uncertain_ = false;    // nobody knows how many
  std::string result_;
};

}  // namespace boxkeeper::logs::gcs
