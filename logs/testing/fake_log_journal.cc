#include "logs/testing/fake_log_journal.h"

#include <utility>

namespace boxkeeper::logs {

boost::asio::awaitable<absl::Status> FakeLogJournal::Record(store::v1::LogRecord record) {
  if (!failure.ok()) co_return failure;
  if (at_step) co_await at_step();
  records.push_back(std::move(record));
  if (at_step) co_await at_step();
  co_return absl::OkStatus();
}

}  // namespace boxkeeper::logs
