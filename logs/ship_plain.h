// Ships the `plain` layout to a store that can append: bytes go to their own places, so that a
// repeat changes nothing.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <memory>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "logs/log_shipper.h"
#include "logs/tracked_log.h"

namespace boxkeeper::logs {

// What one turn did.
struct ShipTurn {
  uint64_t stored_bytes = 0;  // spool bytes that went to the store
  uint64_t pieces = 0;
  uint64_t redacted = 0;
  bool more = false;  // stopped by its budget: there is more to ship now
  bool held = false;  // done, but LogEnd.held
  bool done = false;  // the task has ended and every byte is stored and durable
};

// Ships what there is, at most about `budget` bytes. On the loop; one turn of a log at a time.
// `turn` counts also what was done before an error. Errors: the store's (try again later),
// kDataLoss (the spool lacks bytes), the journal's.
//
// The order that loses and doubles nothing (I8): bytes, Sync, confirmation. Where the limit dropped
// bytes: what is before the gap is confirmed, then the gap is journalled, then its marker written,
// then what follows. While the task runs nothing is shipped from behind the hole's begin on,
// because what lies there may be dropped still; so the stored log is bounded like the spool, and
// has one gap.
boost::asio::awaitable<absl::Status> ShipPlain(const LogShipper::Deps& deps,
                                               std::shared_ptr<TrackedLog> log, uint64_t budget,
                                               ShipTurn& turn);

// The journal's word that `gap` of the stream is not stored.
store::v1::LogRecord GapRecord(int64_t generation, Stream stream, Hole gap);
// The stream's spool lacks what is before `to`, because the store had it.
boost::asio::awaitable<absl::Status> PassFreed(LogJournal& journal, int64_t generation,
                                               Stream stream, uint64_t to, PlainProgress& progress);

}  // namespace boxkeeper::logs
