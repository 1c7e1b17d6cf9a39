// Makes room in the spool of a task whose output must not be dropped (overflow `block`): gives back
// what the log store has of it.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <cstdint>
#include <memory>

#include "absl/status/statusor.h"
#include "base/file_system.h"
#include "logs/log_shipper.h"
#include "logs/tracked_log.h"

namespace boxkeeper::logs {

// A look at one task's spool.
struct SpoolLook {
  uint64_t bytes[2] = {0, 0};  // lengths of the streams
  uint64_t freed[2] = {0, 0};  // of these, from the begin on
  bool waiting = false;        // its supervisor has stopped reading (base::kSpoolWaitingName)
};

// Blocking.
absl::StatusOr<SpoolLook> LookAtSpool(base::FileSystem& files, const SpoolFiles& spool);

// Takes up what was seen; decides whether the task needs room now: its supervisor waits, or will
// soon, because half of what it may hold is held. (Before that the spool is read faster than the
// store, so it stays.) `pressed`: the spool as a whole needs room.
void NoteLook(TrackedLog& log, const SpoolLook& look, bool pressed);

// Frees what is confirmed, where that is worth it. On the loop; not during a turn of the log. A
// file system that refuses is warned about once; the spool then stays as it is.
boost::asio::awaitable<void> FreeConfirmed(const LogShipper::Deps& deps,
                                           std::shared_ptr<TrackedLog> log);

}  // namespace boxkeeper::logs
