// Ships the `plain` and `metaflow` layouts to a store that cannot append: cut after cut, each
// journalled before and after.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <memory>

#include "absl/status/status.h"
#include "logs/log_shipper.h"
#include "logs/ship_plain.h"
#include "logs/tracked_log.h"

namespace boxkeeper::logs {

// Cuts and stores until nothing is left or about `budget` bytes are stored. On the loop; one turn
// of a log at a time. Errors as ShipPlain.
//
// `plain`: each cut is an object of its own, named by its place in the stored stream. `metaflow`:
// each cut is appended to the one object by Extend; so that this does not copy the object over and
// over, cuts grow with it.
//
// Order (I8): spool synced, cut journalled, stored, confirmation journalled. A cut that the journal
// has is repeated byte for byte. If that is not possible any more (its bytes were dropped, or lost
// with the power) and the store has it, it is confirmed; else it is cut anew at its place, which
// replaces what may be there.
boost::asio::awaitable<absl::Status> ShipPieces(const LogShipper::Deps& deps,
                                                std::shared_ptr<TrackedLog> log, uint64_t budget,
                                                ShipTurn& turn);

// How much of a `metaflow` log must wait to be shipped before its time.
uint64_t GrowingFlushBytes(const TrackedLog& log);

}  // namespace boxkeeper::logs
