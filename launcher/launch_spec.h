// What a Start runs: sent as one sealed memfd, so that arguments, environment, files and secrets
// pass through neither the socket nor the launcher's memory; only the supervisor reads it.
//
// Layout of the memfd: magic "BXLS", version u16, zero u16, length u64 of what follows, then TLV
// fields (launcher/tlv.h; the tags are in launch_spec.cc). Seals: WRITE, GROW, SHRINK.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/core/unique_fd.h"

namespace boxkeeper::launcher {

enum class CommandKind : uint8_t {
  kArgv = 1,    // argv, byte-exact; argv[0] is looked up in the command's own PATH
  kShell = 2,   // /bin/sh -c <text>
  kScript = 3,  // <text> as a file, run by `lang`: "sh", "bash" or "python"
};

struct Command {
  CommandKind kind = CommandKind::kArgv;
  std::vector<std::string> argv;
  std::string text;
  std::string lang;

  friend bool operator==(const Command&, const Command&) = default;
};

// No NUL in either, no '=' in the name: the launcher refuses others as invalid.
struct EnvVar {
  std::string name;
  std::string value;

  friend bool operator==(const EnvVar&, const EnvVar&) = default;
};

// Written before the command starts. A relative path counts from the working directory; missing
// parent directories are made; an existing file is replaced. A secret one is mode 0400, whatever
// `mode` says, and belongs to the command's user.
struct LaunchFile {
  std::string path;
  uint32_t mode = 0644;
  std::string content = {};
  bool secret = false;
  // Instead of `content`: absolute path, on the host, of a file that holds it, and the content's
  // SHA-256 (32 bytes), which is checked while it is copied.
  std::string blob_path = {};
  std::string blob_sha256 = {};

  friend bool operator==(const LaunchFile&, const LaunchFile&) = default;
};

enum class OverflowPolicy : uint8_t {
  kDropMiddle = 1,  // keep at least the first and the last quarter of the limit of each stream
  kBlock = 2,       // stop reading until the spool has shrunk
};

enum class IsolationKind : uint8_t {
  kNone = 1,        // an ordinary process of the host
  kBubblewrap = 2,  // namespaces of its own, set up by bwrap(1)
};

// A directory or file of the host that the command sees at `target`. All are absolute. Which are
// allowed is the client's business; that no link leads from `source` out of `beneath`, which it
// lies in, is the launcher's.
struct Volume {
  std::string source;
  std::string target;
  bool read_only = true;
  std::string beneath;

  friend bool operator==(const Volume&, const Volume&) = default;
};

// What the command is to be kept apart from; never how. The launcher refuses what it cannot do.
// Everything but `kind` needs a kind that isolates.
struct IsolationSpec {
  IsolationKind kind = IsolationKind::kNone;
  bool host_network = false;  // false: no network but a loopback of its own
  std::string root;  // absolute path of a root file system, never written to; "" = the host's
                     // programs
  std::vector<Volume> volumes;

  friend bool operator==(const IsolationSpec&, const IsolationSpec&) = default;
};

// What the command and its children may use together; 0 = no limit. The launcher refuses a limit
// that it cannot enforce.
struct LimitsSpec {
  uint64_t cpu_millis = 0;    // 1000 = one processor
  uint64_t memory_bytes = 0;  // swap included
  uint64_t pids = 0;          // processes and threads
  uint64_t disk_bytes = 0;    // of all that is writable in the sandbox; volumes do not count

  friend bool operator==(const LimitsSpec&, const LimitsSpec&) = default;
};

// What is collected once the command has ended and nothing of it runs any more.
struct OutputsSpec {
  std::vector<std::string> patterns;  // see base::CheckOutputPattern; none = nothing
  // Absolute path of the manifest, beside the spool files (base/core/outputs_format.h).
  std::string path;
  uint64_t files_max = 0;
  uint64_t bytes_max = 0;   // of all files together
  uint64_t timeout_ms = 0;  // how long collecting may take

  friend bool operator==(const OutputsSpec&, const OutputsSpec&) = default;
};

struct LaunchSpec {
  Command command;
  std::vector<EnvVar> env;         // on top of the minimal environment, see docs/launcher.md
  std::vector<EnvVar> secret_env;  // likewise, on top of `env`; wiped from memory after exec
  std::vector<LaunchFile> files;
  std::string workdir;  // absolute; "" = the sandbox's own `work` directory
  // The command's standard input, opened as the command's user: a regular file, absolute or
  // relative to the working directory; "" = nothing to read.
  std::string stdin_path;
  std::string user;             // name or uid[:gid]; "" = the launcher's own user
  uint64_t run_timeout_ms = 0;  // from the attested start; 0 = none
  uint64_t grace_ms = 10'000;   // between TERM and KILL at the run timeout
  // Absolute paths, made with mode 0600; the supervisor writes the streams and the index there
  // (base/core/spool_format.h). They must not exist yet, or be empty.
  std::string stdout_path;
  std::string stderr_path;
  std::string index_path;
  uint64_t log_bytes_max = 0;  // both streams together; 0 = no limit
  OverflowPolicy overflow = OverflowPolicy::kDropMiddle;
  // How long the end may wait for output that cannot be written (disk full, limit reached).
  uint64_t final_drain_ms = 10'000;
  IsolationSpec isolation;
  LimitsSpec limits;
  OutputsSpec outputs;

  friend bool operator==(const LaunchSpec&, const LaunchSpec&) = default;
  // Overwrites every value that may be secret: both environments, files, command.
  void Wipe();
};

inline constexpr uint16_t kLaunchSpecVersion = 1;
// Each is a descriptor more that is handed on.
inline constexpr size_t kBlobFilesMax = 100;
inline constexpr size_t kLaunchSpecBytesMax = 64 << 20;

std::string EncodeLaunchSpec(const LaunchSpec& spec);
// False when `bytes` is damaged, of a newer layout, or holds a value this code does not know
// (a command kind, an isolation): those must not be skipped. `error` says what.
bool DecodeLaunchSpec(std::string_view bytes, LaunchSpec* spec, std::string* error);
// Everything that is wrong with a well-formed spec, in words; empty = acceptable to the launcher.
std::vector<std::string> ValidateLaunchSpec(const LaunchSpec& spec);

// A sealed memfd with `bytes`; invalid with errno set when the system refuses.
base::UniqueFd MakeSealedMemfd(std::string_view bytes);
// Reads a memfd made by MakeSealedMemfd. False when it is not sealed, too large, or unreadable.
bool ReadSealedMemfd(int fd, std::string* bytes, std::string* error);

}  // namespace boxkeeper::launcher
