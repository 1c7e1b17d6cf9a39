// Writes the spool of a task whose provider does not: what OutputPuller reads goes here.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "base/core/spool_format.h"
#include "base/file_system.h"
#include "logs/spool_files.h"

namespace boxkeeper::logs {

// How much of one task's output is kept, as a supervisor keeps it (docs/logs.md).
struct SpoolLimit {
  uint64_t bytes_max = 0;  // both streams; 0 = no limit
  bool block = false;      // nothing more is taken at the limit; else the middle goes
};

// Files as in base/core/spool_format.h. The bytes are durable before the index says so: after a
// crash, also of the machine, the streams go on where their index ends, and what is behind that is
// written again. Opens its files for each call, so that a thousand tasks hold no descriptor.
//
// Blocking: used on the pool, by one thread at a time.
class PulledSpool {
 public:
  // What output leaves free on its disk, as launcher/spool.h says.
  static constexpr uint64_t kSpareBytes = 12 << 20;

  // `files` outlives it.
  PulledSpool(base::FileSystem& files, SpoolFiles paths, SpoolLimit limit);

  // Finds where the streams end. First of all; repeatable.
  absl::Status Load();
  bool loaded() const { return loaded_; }

  // The stream's next byte.
  uint64_t length(Stream stream) const { return of(stream).length; }
  uint64_t dropped_bytes() const;
  // The most bytes for one Append: with a limit, in steps that keep what overshoots it small.
  size_t step(size_t wanted) const;
  // The limit is reached and nothing may be dropped: Append would refuse.
  bool full() const;

  // Adds what comes next. kResourceExhausted: full(), or no room on the disk; nothing is added
  // then.
  absl::Status Append(Stream stream, std::string_view data, int64_t arrival_unix_ms);
  // Bytes up to `size` will never be fetched: they count as dropped.
  absl::Status GiveUp(Stream stream, uint64_t size);
  // All of it is durable, with its names. Repeatable: after a failure it writes anew what may not
  // be on the disk though nothing says so any more.
  absl::Status Sync();

 private:
  struct State {
    uint64_t length = 0;
    Hole hole;
  };
  State& of(Stream stream) { return streams_[static_cast<size_t>(stream)]; }
  const State& of(Stream stream) const { return streams_[static_cast<size_t>(stream)]; }
  absl::Status ReadIndex(std::array<State, 2>& found);
  absl::Status MakeRoom();
  absl::Status CheckDisk() const;
  absl::Status Announce(Stream stream, Hole hole);
  absl::Status SyncBytes(base::File& file, uint64_t length);
  absl::Status RewriteIndex();
  absl::Status AddToIndex(const base::IndexRecord& record);
  absl::StatusOr<std::unique_ptr<base::File>> OpenOrMake(const std::string& path);
  uint64_t StoredBytes() const;

  base::FileSystem& files_;
  const SpoolFiles paths_;
  const SpoolLimit limit_;
  bool loaded_ = false;
  bool index_cut_ = false;  // what no record covers was cut off
  bool in_doubt_ = false;   // the last Sync failed
  uint64_t index_end_ = 0;
  std::array<State, 2> streams_;
};

}  // namespace boxkeeper::logs
