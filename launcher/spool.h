// Moves a command's output from its pipes into the spool files (base/core/spool_format.h).
#pragma once

#include <array>
#include <cstdint>
#include <string>

#include "base/core/spool_format.h"
#include "base/core/unique_fd.h"
#include "launcher/launch_spec.h"

namespace boxkeeper::launcher {

// Owns the files and the read ends of the two pipes. Uses the same few KiB whatever the output.
// Belongs to the supervisor's one thread.
class Spool {
 public:
  enum class PumpResult {
    kMoved,    // there may be more
    kEmpty,    // nothing to read now
    kEnd,      // every writer has closed the pipe
    kStalled,  // there is output that cannot be written now: disk full, or the limit or a full
               // spool directory in kBlock
  };
  static constexpr size_t kStreams = 2;  // index 0 = stdout, 1 = stderr
  // While the spool directory is full, kDropMiddle still leaves a command this much.
  static constexpr uint64_t kLeastBytes = 1 << 20;
  // What output leaves free on its disk. More than what the daemon's store frees for itself when
  // the disk is full (8 MiB): else a command that prints on would take that too, and nothing could
  // be recorded any more, not even that it shall be stopped.
  static constexpr uint64_t kSpareBytes = 12 << 20;

  explicit Spool(uint64_t spare_bytes = kSpareBytes) : spare_bytes_(spare_bytes) {}

  // Makes the pipes. The files, and the folder they lie in, are made when the first byte comes:
  // most streams stay without one, and an absent file reads as an empty one. False with `error`
  // when a pipe cannot be made, or a file holds another execution's bytes.
  bool Open(const LaunchSpec& spec, std::string* error);

  // The ends for the command, to be closed once it has them.
  int write_end(size_t stream) const { return streams_[stream].write_end.get(); }
  void CloseWriteEnds();
  int read_end(size_t stream) const { return streams_[stream].read_end.get(); }

  // Moves what one read gives. `past_limit`: the last bytes of a command that has ended are taken
  // even where kBlock would wait, and from the spare room of the disk.
  PumpResult Pump(size_t stream, bool past_limit = false);

  // How much waits to be read now.
  uint64_t WaitingBytes(size_t stream) const;
  // Length of the stream so far, and how much of it was dropped.
  uint64_t bytes(size_t stream) const { return streams_[stream].end; }
  uint64_t dropped_bytes(size_t stream) const;
  // Why the last Pump stalled; "" if it did not.
  const std::string& stall_reason() const { return stall_reason_; }

 private:
  struct Stream {
    std::string path;
    base::UniqueFd file;
    base::UniqueFd read_end;
    base::UniqueFd write_end;
    uint64_t end = 0;  // the file's length, the next byte's offset
    base::DropRecord drop;
    std::string unwritten;  // read by the fallback, not yet in the file
  };

  PumpResult Move(size_t stream, bool past_limit);

  // kMoved: the stream's file and the index are open.
  PumpResult OpenFiles(Stream& stream);
  PumpResult Splice(Stream& stream, size_t bytes_max, size_t* moved);
  PumpResult ReadAndWrite(Stream& stream, size_t bytes_max, size_t* moved);
  PumpResult Stalled(const std::string& reason);
  bool FlushIndex();
  // The limit: true when Pump may go on.
  bool MakeRoom();
  // Tells the daemon whether output waits for room (base::kSpoolWaitingName).
  void TellWaiting(bool waiting);
  // The limit in force: the task's own, or, while the whole spool is full, what it had then.
  uint64_t Limit();
  bool DiskHasRoom(const Stream& stream);
  bool Drop(Stream& stream, uint64_t to);
  uint64_t StoredBytes() const;
  // Less what the daemon has freed, because the log store has it.
  uint64_t HeldBytes() const;

  const uint64_t spare_bytes_;
  std::array<Stream, kStreams> streams_;
  std::string index_path_;
  base::UniqueFd index_;
  uint64_t index_end_ = 0;
  std::string unwritten_index_;
  uint64_t bytes_max_ = 0;
  std::string full_path_;
  std::string waiting_path_;
  bool waiting_ = false;     // told so
  bool needs_room_ = false;  // the last Pump stalled for want of room that the daemon can make
  uint64_t full_limit_ = 0;  // > 0: the whole spool is full
  OverflowPolicy overflow_ = OverflowPolicy::kDropMiddle;
  bool can_splice_ = true;
  std::string stall_reason_;
};

}  // namespace boxkeeper::launcher
