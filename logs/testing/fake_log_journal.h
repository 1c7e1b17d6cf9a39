// A journal in memory that may stand still or fail.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <functional>
#include <vector>

#include "absl/status/status.h"
#include "logs/log_shipper.h"

namespace boxkeeper::logs {

class FakeLogJournal final : public LogJournal {
 public:
  // Synced records, in order. Survives what is built around it.
  std::vector<store::v1::LogRecord> records;
  absl::Status failure;  // not OK: every Record fails with it
  // Called before and after a record becomes durable; may wait for ever. Null: nothing.
  std::function<boost::asio::awaitable<void>()> at_step;

  boost::asio::awaitable<absl::Status> Record(store::v1::LogRecord record) override;
};

}  // namespace boxkeeper::logs
