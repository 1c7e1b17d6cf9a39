// How a local sandbox ended: the content of its `exit` file and of the launcher's answers.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace boxkeeper::launcher {

enum class EndKind : uint8_t {
  kUnknown = 0,         // a newer launcher's word
  kExited = 1,          // the supervisor saw the command's end: wait_status counts
  kStartFailed = 2,     // user code never ran; `error` says why
  kSupervisorLost = 3,  // the supervisor died; what became of the command is unknown
  kHostRebooted = 4,    // the sandbox is of an earlier boot and left no exit record
  kNeverStarted = 5,    // fenced or stopped before a Start; a Start is refused from then on
};

enum class UserCodeStarted : uint8_t { kUnknown = 0, kNo = 1, kYes = 2 };

struct ExitRecord {
  EndKind kind = EndKind::kUnknown;
  std::string sandbox_id;  // "" in records of older launchers
  std::string exec_id;
  std::string boot_id;
  // As waitpid(2) gave it, valid iff kind is kExited: an exit code or a signal, never both.
  int32_t wait_status = 0;
  UserCodeStarted user_code_started = UserCodeStarted::kUnknown;
  bool timed_out = false;         // the run timeout had passed before the command ended
  bool stop_requested = false;    // a Signal (stop, kill), Destroy or Fence came before the end
  bool tree_fenced = false;       // proved: no process of the sandbox is left
  bool oom_killed = false;        // the memory limit's own counter rose
  bool leftovers_killed = false;  // the main process left descendants behind; they were killed
  std::string attester;           // "supervisor" or "launcher"
  std::string error;              // for people: exec error, why lost
  // Wall clock and CLOCK_BOOTTIME. Start is when exec had succeeded, 0 = never; end is when the
  // main process was reaped.
  uint64_t started_unix_ns = 0;
  uint64_t started_boot_ns = 0;
  uint64_t ended_unix_ns = 0;
  uint64_t ended_boot_ns = 0;
  // Lengths of the streams, dropped bytes included, and how many of them were dropped.
  uint64_t stdout_bytes = 0;
  uint64_t stderr_bytes = 0;
  uint64_t stdout_dropped_bytes = 0;
  uint64_t stderr_dropped_bytes = 0;
  // Of all reaped processes of the sandbox: peak of the largest one, sum of CPU time.
  uint64_t peak_rss_bytes = 0;
  uint64_t cpu_user_us = 0;
  uint64_t cpu_system_us = 0;
  // Of the task's outputs: whether a manifest stands (base/core/outputs_format.h), and what it
  // tells. `outputs_note` is what most needs to be known of what was left out, or why there is
  // none.
  bool outputs_collected = false;
  uint64_t output_files = 0;
  uint64_t output_bytes = 0;
  uint64_t outputs_skipped = 0;
  std::string outputs_note;

  // The exit code; nothing if there is none that was attested.
  std::optional<int> ExitCode() const;
  // The signal that ended the command; nothing if none did, or nobody saw.
  std::optional<int> Signal() const;
};

// The fields as TLV, for a frame. `Decode` is false only for bytes that are not TLV.
std::string EncodeExitRecord(const ExitRecord& record);
bool DecodeExitRecord(std::string_view bytes, ExitRecord* record);

}  // namespace boxkeeper::launcher
