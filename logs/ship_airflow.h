// Ships the `airflow` layout: piece after piece, each journalled before and after.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <memory>

#include "absl/status/status.h"
#include "logs/log_shipper.h"
#include "logs/ship_plain.h"
#include "logs/tracked_log.h"

namespace boxkeeper::logs {

// Cuts and stores pieces until nothing is left to render or about `budget` bytes are stored. On the
// loop; one turn of a log at a time. Errors as ShipPlain.
//
// Order (I8): spool and index synced, cut journalled, piece stored, confirmation journalled. A cut
// that the journal has is repeated byte for byte; if that is not possible any more (its bytes were
// dropped, or lost with the power, or a secret is not known), it is cut anew under the same number,
// which replaces what may have been stored.
boost::asio::awaitable<absl::Status> ShipAirflow(const LogShipper::Deps& deps,
                                                 std::shared_ptr<TrackedLog> log, uint64_t budget,
                                                 uint64_t piece_bytes, ShipTurn& turn);

}  // namespace boxkeeper::logs
