// The journal: what the core decided goes to the store in order, and nothing that depends on it
// leaves before it is synced.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "base/clock.h"
#include "boxkeeper/store/v1/records.pb.h"
#include "store/task_store.h"

namespace boxkeeper::daemon {

// Owns the open batch, the batch in flight and the outputs held behind each. Group commit: whatever
// was appended while one batch was being synced becomes the next one. Used on the loop. Not
// stopped: the owner waits for Synced, then destroys it.
//
//   journal.Append(record);
//   journal.WhenSynced([reply] { reply(); });   // runs after everything appended so far is durable
class Journal {
 public:
  struct Stats {
    int64_t batches = 0;
    int64_t records = 0;
    int64_t retries_no_space = 0;
  };

  // `fatal` is called once, when a commit failed in a way after which nothing may be written any
  // more; no output is released from then on.
  Journal(boost::asio::any_io_executor executor, base::Clock& clock, store::TaskStore& store,
          std::function<void(absl::Status)> fatal);

  // Positions start above `last`: the highest in the store. Before the first Append.
  void StartAfter(store::Position last);

  // Adds to the open batch; returns the record's position.
  store::Position Append(const store::v1::Record& record);
  // The same for the bytes of a store::v1::Record.
  store::Position AppendEncoded(std::string record);
  // The position the next Append will give.
  store::Position next_position() const { return next_; }
  void Delete(store::Position position);

  // Changes with every batch: what is appended under one number is synced together.
  int64_t open_batch() const { return open_batch_; }

  // Runs `output` on the loop, after the output held before it, once everything appended up to now
  // is durable. Never from within this call.
  void WhenSynced(std::function<void()> output);
  // Completes when everything appended up to now is durable. Never completes after a fatal failure.
  boost::asio::awaitable<void> Synced();
  // The highest durable position.
  store::Position synced() const { return synced_; }
  // True if nothing waits to become durable.
  bool idle() const { return !running_ && open_.batch.empty(); }
  // True while a batch waits for disk space.
  bool out_of_space() const { return out_of_space_; }
  const Stats& stats() const { return stats_; }

 private:
  struct Pending {
    store::Batch batch;
    store::Position last = 0;
    std::vector<std::function<void()>> outputs;
  };
  void Kick();
  boost::asio::awaitable<void> CommitLoop();
  boost::asio::awaitable<absl::Status> CommitUntilSpace(const store::Batch& batch);

  boost::asio::any_io_executor executor_;
  base::Clock& clock_;
  store::TaskStore& store_;
  std::function<void(absl::Status)> fatal_;
  Stats stats_;
  Pending open_;
  int64_t open_batch_ = 0;
  bool running_ = false;
  bool failed_ = false;
  bool out_of_space_ = false;
  store::Position next_ = 1;
  store::Position synced_ = 0;
};

}  // namespace boxkeeper::daemon
