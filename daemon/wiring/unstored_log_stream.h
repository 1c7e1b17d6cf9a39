// ReadLog of what the log store does not have yet. A part of LogAdapter.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "daemon/wiring/open_log_stream.h"
#include "logs/unstored_reader.h"

namespace boxkeeper::daemon {

// For a reader that has listed the store before it asks: a piece on its way is left out, as it may
// be in that list, unless the store says that it is not there even now.
class UnstoredLogStream final : public OpenLogStream {
 public:
  using OpenLogStream::OpenLogStream;

  boost::asio::awaitable<absl::StatusOr<v1::ReadLogResponse>> Next() override;

 private:
  // Goes to where the store ends as of now. kDataLoss: that is not behind what was read already.
  boost::asio::awaitable<absl::Status> Begin();
  boost::asio::awaitable<bool> IsStored(std::string object);
  boost::asio::awaitable<absl::StatusOr<std::optional<logs::UnstoredEnd>>> End();
  boost::asio::awaitable<absl::StatusOr<logs::LogChunk>> Read();

  bool complete_ = false;  // the store has all of it
  std::unique_ptr<logs::UnstoredReader> reader_;
  bool ended_ = false;  // the reader knows
};

}  // namespace boxkeeper::daemon
