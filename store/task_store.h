// Durable truth: a log of records at integer positions. The core replays it at start (I9: memory is
// a function of the store). Small enough that PostgreSQL fits behind it.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace boxkeeper::store {

// A record's place in the log: > 0, chosen by the core, strictly increasing over the store's life,
// never reused.
using Position = int64_t;

struct PutRecord {
  Position position = 0;
  std::string record;  // a serialised store::v1::Record; the store adds and checks the CRC32C
};

// Applied as one transaction: all of it is durable, or none.
struct Batch {
  std::vector<PutRecord> puts;    // ascending positions, all above any before
  std::vector<Position> deletes;  // absent ones are ignored
  bool empty() const { return puts.empty() && deletes.empty(); }
  size_t bytes() const;  // payload, for bounds
};

// Called on the loop. One Commit at a time (the journal sees to it); batches therefore commit in
// order.
class TaskStore {
 public:
  virtual ~TaskStore() = default;

  // Completes on the caller's executor with OK when the batch is durable.
  // kResourceExhausted: no space; nothing of the batch is visible; the same batch may be committed
  // again. Any other error: what is on the disk is unknown; the caller must stop without another
  // write (exit 74).
  virtual boost::asio::awaitable<absl::Status> Commit(const Batch& batch) = 0;

  // Calls `visit` for every record in order of position; stops at the first error it returns.
  // Blocking; only at start, before the first Commit. kDataLoss names the place and the repair
  // command.
  virtual absl::Status Load(
      const std::function<absl::Status(Position, std::string_view)>& visit) = 0;

  // The highest position ever committed, also of records deleted since, as of opening; 0 = none.
  virtual Position last_position() const = 0;

  // One record, for what is not kept in memory. kNotFound if deleted. Completes on the caller's
  // executor.
  virtual boost::asio::awaitable<absl::StatusOr<std::string>> Read(Position position) = 0;

  // False while free space is below the reserve that live tasks need to reach their end: refuse new
  // submits then. Cheap: a value kept up to date by the store.
  virtual bool HasRoomForNewTasks() const = 0;
};

}  // namespace boxkeeper::store
