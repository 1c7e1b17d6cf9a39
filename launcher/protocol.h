// The protocol between the daemon (client) and boxlaunch, on the stream socket
// `<state_dir>/launch/launch.sock`.
//
// A frame is: length u32 of the payload, version u16, type u16, request id u64, then the payload:
// TLV fields (launcher/tlv.h). All integers little-endian; at most kFrameBytesMax with its header.
// A request's type is a MessageType; its reply has the same request id and kReplyBit set; replies
// may come in another order than their requests. Pushed events have request id 0. Either side
// skips fields, and the client events, that it does not know; the launcher answers a request type
// that it does not know with kUnsupported. `version` rises only when a peer that skips unknown
// fields would misunderstand; the launcher then serves each client by the version of its Hello.
//
// A Start frame is sent by one sendmsg(2) that carries exactly one descriptor (SCM_RIGHTS), the
// sealed memfd of launcher/launch_spec.h; no other frame carries any.
//
// Hello comes first; anything else before it is answered kFailedPrecondition. A peer of another
// uid than the launcher's own (or root) is disconnected, as is one that sends a malformed frame or
// stops reading its replies.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "launcher/abilities.h"
#include "launcher/exit_record.h"
#include "launcher/tlv.h"

namespace boxkeeper::launcher {

inline constexpr uint16_t kProtocolVersion = 1;
inline constexpr size_t kFrameHeaderBytes = 16;
inline constexpr size_t kFrameBytesMax = 64 * 1024;
inline constexpr size_t kPayloadBytesMax = kFrameBytesMax - kFrameHeaderBytes;
inline constexpr size_t kIdBytesMax = 64;  // sandbox and exec ids: [A-Za-z0-9._-], no leading '.'
inline constexpr size_t kNameBytesMax = 128;  // sandbox names: no NUL
inline constexpr size_t kLabelsBytesMax = 2048;

enum class MessageType : uint16_t {
  kHello = 1,
  kCreate = 2,
  kStart = 3,
  kSignal = 4,
  kDestroy = 5,
  kInspect = 6,
  kList = 7,
  kFence = 8,
  kStatus = 9,
  // Pushed to every client that has said Hello. A hint: some may be skipped for a slow reader.
  kStartedEvent = 64,
  kExitedEvent = 65,
};
inline constexpr uint16_t kReplyBit = 0x8000;

enum class ErrorCode : uint16_t {
  kOk = 0,
  kInvalid = 1,             // the request is malformed, whatever the state
  kNotFound = 2,            // no such sandbox
  kConflict = 3,            // another exec_id has been started, or the sandbox has ended
  kUnsupported = 4,         // request type, version or isolation not known to this launcher
  kFailedPrecondition = 5,  // Hello missing, or not for this state directory or boot
  kResource = 6,            // disk full, no processes, no descriptors: may work later
  kInternal = 7,
  kUnconfirmed = 8,  // Fence: it cannot be proved that nothing of the sandbox runs any more
};

enum class SandboxState : uint8_t {
  kUnknown = 0,  // its records are damaged
  kCreated = 1,
  kStarting = 2,  // a Start was taken; user code may or may not run yet
  kRunning = 3,   // exec has succeeded
  kEnded = 4,     // `exit` is there
};

// All that the launcher knows of a sandbox.
struct SandboxInfo {
  std::string id;
  std::string name;
  std::string labels;  // opaque, as given to Create
  SandboxState state = SandboxState::kUnknown;
  std::string boot_id;  // of its Create: the `boot` record
  std::string exec_id;  // "" = no Start was taken
  uint32_t supervisor_pid = 0;
  uint32_t command_pid = 0;  // 0 = not known
  uint64_t created_unix_ns = 0;
  uint64_t started_unix_ns = 0;  // exec had succeeded; 0 = not yet
  uint64_t started_boot_ns = 0;
  std::string isolation;  // achieved: "none", "bubblewrap"; "" = not started
  std::string limits;     // applied, e.g. "cpu=cgroup1 memory=cgroup1 disk=tmpfs"; "" = none
  std::optional<ExitRecord> exit;
  std::string message;  // kUnknown: what is damaged
};

struct HelloRequest {
  static constexpr MessageType kType = MessageType::kHello;
  uint16_t protocol_version = kProtocolVersion;
  std::string state_dir;  // the client's; another directory (by device and inode) is refused
  std::string boot_id;    // the client's; another is refused. "" = not checked
};
struct HelloReply {
  static constexpr MessageType kType = MessageType::kHello;
  uint16_t protocol_version = 0;
  std::string launcher_version;
  uint32_t pid = 0;
  std::string boot_id;
  std::string cgroup;  // the launcher's own, as in /proc/self/cgroup: the line systemd kills by
  // Whether the launcher's cgroup is the peer's, so that stopping the peer's service kills it too
  // (`tasks_survive_service_stop` is the opposite).
  bool shares_cgroup_with_peer = false;
  Abilities abilities;
};

// Makes an anonymous sandbox. Idempotent by id: one that is there already, even ended, is reported
// as it is; a sandbox that was destroyed is gone and would be made anew.
struct CreateRequest {
  static constexpr MessageType kType = MessageType::kCreate;
  std::string id;
  std::string name;
  std::string labels;
};
struct CreateReply {
  static constexpr MessageType kType = MessageType::kCreate;
  bool already_exists = false;
  SandboxInfo info;
};

// Starts the command of the memfd. Answered when exec has succeeded or the start has failed (state
// kEnded, EndKind::kStartFailed). Idempotent per exec_id: a repeat starts nothing, needs no memfd
// (one that is sent is closed) and is answered likewise; another exec_id is kConflict, and so is
// a first Start of an ended sandbox.
struct StartRequest {
  static constexpr MessageType kType = MessageType::kStart;
  std::string id;
  std::string exec_id;
  bool has_memfd = true;
};
struct StartReply {
  static constexpr MessageType kType = MessageType::kStart;
  bool repeated = false;
  SandboxInfo info;
};

enum class SignalMode : uint8_t {
  kSend = 1,  // `signal` to the main process
  kStop = 2,  // TERM to the whole tree, KILL after `grace_ms`
  kKill = 3,  // KILL to the whole tree
};
// Answered at once; the end comes as event or by Inspect. A stop of a sandbox without a Start ends
// it (kNeverStarted). For an ended one it is a success that does nothing.
struct SignalRequest {
  static constexpr MessageType kType = MessageType::kSignal;
  std::string id;
  SignalMode mode = SignalMode::kStop;
  uint32_t signal = 0;
  uint64_t grace_ms = 0;
};
struct SignalReply {
  static constexpr MessageType kType = MessageType::kSignal;
  SandboxInfo info;
};

// Kills what runs, then removes the sandbox. Answered when both are done; absent is a success.
// The spool files are the client's and stay.
struct DestroyRequest {
  static constexpr MessageType kType = MessageType::kDestroy;
  std::string id;
};
struct DestroyReply {
  static constexpr MessageType kType = MessageType::kDestroy;
  bool was_absent = false;
  bool fenced = true;  // false: it is removed, but something of it may still run (see kUnconfirmed)
};

struct InspectRequest {
  static constexpr MessageType kType = MessageType::kInspect;
  std::string id;
};
struct InspectReply {
  static constexpr MessageType kType = MessageType::kInspect;
  SandboxInfo info;
};

// Pages in order of id. The first cursor is ""; an empty next_cursor ends the list.
struct ListRequest {
  static constexpr MessageType kType = MessageType::kList;
  std::string cursor;
  uint32_t limit = 0;  // 0 = as many as fit one frame
};
struct ListReply {
  static constexpr MessageType kType = MessageType::kList;
  std::vector<SandboxInfo> sandboxes;
  std::string next_cursor;
};

// Kills what runs, lets nothing start any more, and answers only when that is certain (absent is);
// kUnconfirmed when it never can be.
struct FenceRequest {
  static constexpr MessageType kType = MessageType::kFence;
  std::string id;
};
struct FenceReply {
  static constexpr MessageType kType = MessageType::kFence;
  bool was_absent = false;
  std::optional<SandboxInfo> info;
};

struct StatusRequest {
  static constexpr MessageType kType = MessageType::kStatus;
};
struct StatusReply {
  static constexpr MessageType kType = MessageType::kStatus;
  HelloReply launcher;
  uint64_t uptime_ms = 0;
  uint32_t clients = 0;
  uint32_t created = 0;  // sandboxes by state; kStarting counts as running
  uint32_t running = 0;
  uint32_t ended = 0;
  uint32_t unknown = 0;
};

struct StartedEvent {
  static constexpr MessageType kType = MessageType::kStartedEvent;
  SandboxInfo info;
};
struct ExitedEvent {
  static constexpr MessageType kType = MessageType::kExitedEvent;
  SandboxInfo info;
};

// Each message's payload. `Decode` is false for bytes that are not TLV or hold a nested message
// that is not; missing fields are defaults.
// It never comes to rest on this one.
// clang-format off
#define BOXKEEPER_LAUNCHER_MESSAGES(X) \
  X(HelloRequest) \
  X(HelloReply) \
  X(CreateRequest) \
  X(CreateReply) \
  X(StartRequest) \
  X(StartReply) \
  X(SignalRequest) \
  X(SignalReply) \
  X(DestroyRequest) \
  X(DestroyReply) \
  X(InspectRequest) \
  X(InspectReply) \
  X(ListRequest) \
  X(ListReply) \
  X(FenceRequest) \
  X(FenceReply) \
  X(StatusRequest) \
  X(StatusReply) \
  X(StartedEvent) \
  X(ExitedEvent)
// clang-format on
#define BOXKEEPER_DECLARE(M)            \
  std::string Encode(const M& message); \
  bool Decode(std::string_view payload, M* message);
BOXKEEPER_LAUNCHER_MESSAGES(BOXKEEPER_DECLARE)
#undef BOXKEEPER_DECLARE
std::string Encode(const SandboxInfo& info);
bool Decode(std::string_view payload, SandboxInfo* info);

// Whole frames. The payload must fit kPayloadBytesMax (each message above does by its limits; the
// launcher pages a List by size).
std::string EncodeFrame(uint16_t type, uint64_t request_id, std::string_view payload);
template <typename M>
std::string RequestFrame(uint64_t request_id, const M& message) {
  return EncodeFrame(static_cast<uint16_t>(M::kType), request_id, Encode(message));
}
template <typename M>
std::string ReplyFrame(uint64_t request_id, const M& message) {
  return EncodeFrame(static_cast<uint16_t>(M::kType) | kReplyBit, request_id, Encode(message));
}
template <typename M>
std::string EventFrame(const M& message) {
  return EncodeFrame(static_cast<uint16_t>(M::kType), 0, Encode(message));
}
// A reply that says why there is none; `type` is the request's.
std::string ErrorFrame(uint16_t type, uint64_t request_id, ErrorCode code,
                       std::string_view message);

struct ReplyError {
  ErrorCode code = ErrorCode::kOk;
  std::string message;
};
// The error in a reply's payload; kOk for a message. To be asked before Decode.
ReplyError DecodeError(std::string_view payload);

struct Frame {
  uint16_t version = 0;
  uint16_t type = 0;
  uint64_t request_id = 0;
  std::string_view payload;  // valid until the parser is touched

  bool is_reply() const { return (type & kReplyBit) != 0; }
  bool Is(MessageType wanted) const { return (type & ~kReplyBit) == static_cast<uint16_t>(wanted); }
};

// Cuts a byte stream into frames. Holds at most one frame and what one Append brought.
class FrameParser {
 public:
  enum class Result { kFrame, kNeedMore, kMalformed };

  void Append(std::string_view bytes);
  // The next frame. After kMalformed (a length above the limit) the stream cannot be used.
  Result Next(Frame* frame);

 private:
  std::string buffer_;
  size_t consumed_ = 0;
};

// Whether `id` may name a sandbox or an exec.
bool IsValidId(std::string_view id);

// Where things lie below a state directory.
std::string LaunchDirectory(const std::string& state_dir);  // <state_dir>/launch
// <state_dir>/launch/launch.sock. Longer than the 107 bytes of a socket address it is reached by
// `/proc/self/fd/<descriptor of the launch directory>/launch.sock`; ConnectToLauncher does that.
std::string SocketPath(const std::string& state_dir);
// A connected, non-blocking, close-on-exec stream socket. -1 with errno set when nobody answers
// (ENOENT, ECONNREFUSED: start a launcher) or the launcher's backlog is full (EAGAIN: try again).
int ConnectToLauncher(const std::string& state_dir);

}  // namespace boxkeeper::launcher
