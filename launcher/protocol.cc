#include "launcher/protocol.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "base/core/bytes.h"
#include "base/core/unique_fd.h"

namespace boxkeeper::launcher {
namespace {

// Tags count per message; a tag once used keeps its meaning.
constexpr uint16_t kErrorCode = 0xFFF0;
constexpr uint16_t kErrorMessage = 0xFFF1;

enum InfoTag : uint16_t {
  kInfoId = 1,
  kInfoName = 2,
  kInfoLabels = 3,
  kInfoState = 4,
  kInfoBootId = 5,
  kInfoExecId = 6,
  kInfoSupervisorPid = 7,
  kInfoCommandPid = 8,
  kInfoCreatedUnixNs = 9,
  kInfoStartedUnixNs = 10,
  kInfoStartedBootNs = 11,
  kInfoExit = 12,
  kInfoMessage = 13,
  kInfoIsolation = 14,
  kInfoLimits = 15,
};

// Calls `assign` for each field; false when the bytes are not TLV or `assign` is false.
template <typename F>
bool ForEachField(std::string_view payload, F assign) {
  TlvReader reader(payload);
  Tlv field;
  while (reader.Next(&field)) {
    if (!assign(field)) return false;
  }
  return reader.ok();
}

SandboxState ToState(uint64_t number) {
  return number <= static_cast<uint64_t>(SandboxState::kEnded) ? static_cast<SandboxState>(number)
                                                               : SandboxState::kUnknown;
}

bool AssignInfo(const Tlv& field, SandboxInfo* info) {
  switch (field.tag) {
    case kInfoId:
      info->id = field.String();
      return true;
    case kInfoName:
      info->name = field.String();
      return true;
    case kInfoLabels:
      info->labels = field.String();
      return true;
    case kInfoState:
      info->state = ToState(field.Number());
      return true;
    case kInfoBootId:
      info->boot_id = field.String();
      return true;
    case kInfoExecId:
      info->exec_id = field.String();
      return true;
    case kInfoSupervisorPid:
      info->supervisor_pid = field.Number();
      return true;
    case kInfoCommandPid:
      info->command_pid = field.Number();
      return true;
    case kInfoCreatedUnixNs:
      info->created_unix_ns = field.Number();
      return true;
    case kInfoStartedUnixNs:
      info->started_unix_ns = field.Number();
      return true;
    case kInfoStartedBootNs:
      info->started_boot_ns = field.Number();
      return true;
    case kInfoExit:
      return DecodeExitRecord(field.value, &info->exit.emplace());
    case kInfoMessage:
      info->message = field.String();
      return true;
    case kInfoIsolation:
      info->isolation = field.String();
      return true;
    case kInfoLimits:
      info->limits = field.String();
      return true;
    default:
      return true;
  }
}

// Messages that hold one string, or one SandboxInfo, at tag 1.
template <typename M>
std::string EncodeId(const M& message) {
  TlvWriter out;
  out.Bytes(1, message.id);
  return out.Take();
}
template <typename M>
bool DecodeId(std::string_view payload, M* message) {
  return ForEachField(payload, [&](const Tlv& field) {
    if (field.tag == 1) message->id = field.String();
    return true;
  });
}
template <typename M>
std::string EncodeInfo(const M& message) {
  TlvWriter out;
  out.Bytes(1, Encode(message.info));
  return out.Take();
}
template <typename M>
bool DecodeInfo(std::string_view payload, M* message) {
  return ForEachField(payload, [&](const Tlv& field) {
    return field.tag != 1 || Decode(field.value, &message->info);
  });
}

}  // namespace

std::string Encode(const SandboxInfo& info) {
  TlvWriter out;
  out.Bytes(kInfoId, info.id);
  out.Bytes(kInfoName, info.name);
  out.Bytes(kInfoLabels, info.labels);
  out.Number(kInfoState, static_cast<uint64_t>(info.state));
  out.Bytes(kInfoBootId, info.boot_id);
  out.Bytes(kInfoExecId, info.exec_id);
  out.Number(kInfoSupervisorPid, info.supervisor_pid);
  out.Number(kInfoCommandPid, info.command_pid);
  out.Number(kInfoCreatedUnixNs, info.created_unix_ns);
  out.Number(kInfoStartedUnixNs, info.started_unix_ns);
  out.Number(kInfoStartedBootNs, info.started_boot_ns);
  if (info.exit) out.Bytes(kInfoExit, EncodeExitRecord(*info.exit));
  if (!info.message.empty()) out.Bytes(kInfoMessage, info.message);
  if (!info.isolation.empty()) out.Bytes(kInfoIsolation, info.isolation);
  if (!info.limits.empty()) out.Bytes(kInfoLimits, info.limits);
  return out.Take();
}

bool Decode(std::string_view payload, SandboxInfo* info) {
  *info = {};
  return ForEachField(payload, [&](const Tlv& field) { return AssignInfo(field, info); });
}

std::string Encode(const HelloRequest& message) {
  TlvWriter out;
  out.Number(1, message.protocol_version);
  out.Bytes(2, message.state_dir);
  out.Bytes(3, message.boot_id);
  return out.Take();
}

bool Decode(std::string_view payload, HelloRequest* message) {
  *message = {};
  message->protocol_version = 0;  // what was left out is zero, not this version
  return ForEachField(payload, [&](const Tlv& field) {
    if (field.tag == 1) message->protocol_version = static_cast<uint16_t>(field.Number());
    if (field.tag == 2) message->state_dir = field.String();
    if (field.tag == 3) message->boot_id = field.String();
    return true;
  });
}

std::string Encode(const HelloReply& message) {
  TlvWriter out;
  out.Number(1, message.protocol_version);
  out.Bytes(2, message.launcher_version);
  out.Number(3, message.pid);
  out.Bytes(4, message.boot_id);
  out.Bytes(5, message.cgroup);
  out.Number(6, message.shares_cgroup_with_peer);
  out.Bytes(7, Encode(message.abilities));
  return out.Take();
}

bool Decode(std::string_view payload, HelloReply* message) {
  *message = {};
  if (!Decode({}, &message->abilities)) return false;
  return ForEachField(payload, [&](const Tlv& field) {
    if (field.tag == 1) message->protocol_version = static_cast<uint16_t>(field.Number());
    if (field.tag == 2) message->launcher_version = field.String();
    if (field.tag == 3) message->pid = static_cast<uint32_t>(field.Number());
    if (field.tag == 4) message->boot_id = field.String();
    if (field.tag == 5) message->cgroup = field.String();
    if (field.tag == 6) message->shares_cgroup_with_peer = field.Number() != 0;
    return field.tag != 7 || Decode(field.value, &message->abilities);
  });
}

std::string Encode(const CreateRequest& message) {
  TlvWriter out;
  out.Bytes(1, message.id);
  out.Bytes(2, message.name);
  out.Bytes(3, message.labels);
  return out.Take();
}

bool Decode(std::string_view payload, CreateRequest* message) {
  *message = {};
  return ForEachField(payload, [&](const Tlv& field) {
    if (field.tag == 1) message->id = field.String();
    if (field.tag == 2) message->name = field.String();
    if (field.tag == 3) message->labels = field.String();
    return true;
  });
}

std::string Encode(const CreateReply& message) {
  TlvWriter out;
  out.Bytes(1, Encode(message.info));
  out.Number(2, message.already_exists);
  return out.Take();
}

bool Decode(std::string_view payload, CreateReply* message) {
  *message = {};
  return ForEachField(payload, [&](const Tlv& field) {
    if (field.tag == 2) message->already_exists = field.Number() != 0;
    return field.tag != 1 || Decode(field.value, &message->info);
  });
}

std::string Encode(const StartRequest& message) {
  TlvWriter out;
  out.Bytes(1, message.id);
  out.Bytes(2, message.exec_id);
  out.Number(3, message.has_memfd);
  return out.Take();
}

bool Decode(std::string_view payload, StartRequest* message) {
  *message = {};
  message->has_memfd = false;
  return ForEachField(payload, [&](const Tlv& field) {
    if (field.tag == 1) message->id = field.String();
    if (field.tag == 2) message->exec_id = field.String();
    if (field.tag == 3) message->has_memfd = field.Number() != 0;
    return true;
  });
}

std::string Encode(const StartReply& message) {
  TlvWriter out;
  out.Bytes(1, Encode(message.info));
  out.Number(2, message.repeated);
  return out.Take();
}

bool Decode(std::string_view payload, StartReply* message) {
  *message = {};
  return ForEachField(payload, [&](const Tlv& field) {
    if (field.tag == 2) message->repeated = field.Number() != 0;
    return field.tag != 1 || Decode(field.value, &message->info);
  });
}

std::string Encode(const SignalRequest& message) {
  TlvWriter out;
  out.Bytes(1, message.id);
  out.Number(2, static_cast<uint64_t>(message.mode));
  out.Number(3, message.signal);
  out.Number(4, message.grace_ms);
  return out.Take();
}

bool Decode(std::string_view payload, SignalRequest* message) {
  *message = {};
  return ForEachField(payload, [&](const Tlv& field) {
    if (field.tag == 1) message->id = field.String();
    if (field.tag == 2) {
      if (field.Number() < 1 || field.Number() > 3) return false;
      message->mode = static_cast<SignalMode>(field.Number());
    }
    if (field.tag == 3) message->signal = static_cast<uint32_t>(field.Number());
    if (field.tag == 4) message->grace_ms = field.Number();
    return true;
  });
}

std::string Encode(const SignalReply& message) { return EncodeInfo(message); }
bool Decode(std::string_view payload, SignalReply* message) {
  *message = {};
  return DecodeInfo(payload, message);
}

std::string Encode(const DestroyRequest& message) { return EncodeId(message); }
bool Decode(std::string_view payload, DestroyRequest* message) {
  *message = {};
  return DecodeId(payload, message);
}

std::string Encode(const DestroyReply& message) {
  TlvWriter out;
  out.Number(1, message.was_absent);
  out.Number(2, message.fenced);
  return out.Take();
}

bool Decode(std::string_view payload, DestroyReply* message) {
  *message = {};
  message->fenced = false;
  return ForEachField(payload, [&](const Tlv& field) {
    if (field.tag == 1) message->was_absent = field.Number() != 0;
    if (field.tag == 2) message->fenced = field.Number() != 0;
    return true;
  });
}

std::string Encode(const InspectRequest& message) { return EncodeId(message); }
bool Decode(std::string_view payload, InspectRequest* message) {
  *message = {};
  return DecodeId(payload, message);
}

std::string Encode(const InspectReply& message) { return EncodeInfo(message); }
bool Decode(std::string_view payload, InspectReply* message) {
  *message = {};
  return DecodeInfo(payload, message);
}

std::string Encode(const ListRequest& message) {
  TlvWriter out;
  out.Bytes(1, message.cursor);
  out.Number(2, message.limit);
  return out.Take();
}

bool Decode(std::string_view payload, ListRequest* message) {
  *message = {};
  return ForEachField(payload, [&](const Tlv& field) {
    if (field.tag == 1) message->cursor = field.String();
    if (field.tag == 2) message->limit = static_cast<uint32_t>(field.Number());
    return true;
  });
}

std::string Encode(const ListReply& message) {
  TlvWriter out;
  for (const SandboxInfo& info : message.sandboxes) out.Bytes(1, Encode(info));
  out.Bytes(2, message.next_cursor);
  return out.Take();
}

bool Decode(std::string_view payload, ListReply* message) {
  *message = {};
  return ForEachField(payload, [&](const Tlv& field) {
    if (field.tag == 2) message->next_cursor = field.String();
    return field.tag != 1 || Decode(field.value, &message->sandboxes.emplace_back());
  });
}

std::string Encode(const FenceRequest& message) { return EncodeId(message); }
bool Decode(std::string_view payload, FenceRequest* message) {
  *message = {};
  return DecodeId(payload, message);
}

std::string Encode(const FenceReply& message) {
  TlvWriter out;
  out.Number(1, message.was_absent);
  if (message.info) out.Bytes(2, Encode(*message.info));
  return out.Take();
}

bool Decode(std::string_view payload, FenceReply* message) {
  *message = {};
  return ForEachField(payload, [&](const Tlv& field) {
    if (field.tag == 1) message->was_absent = field.Number() != 0;
    return field.tag != 2 || Decode(field.value, &message->info.emplace());
  });
}

std::string Encode(const StatusRequest& message) { return {}; }
bool Decode(std::string_view payload, StatusRequest* message) {
  return ForEachField(payload, [](const Tlv&) { return true; });
}

std::string Encode(const StatusReply& message) {
  TlvWriter out;
  out.Bytes(1, Encode(message.launcher));
  out.Number(2, message.uptime_ms);
  out.Number(3, message.clients);
  out.Number(4, message.created);
  out.Number(5, message.running);
  out.Number(6, message.ended);
  out.Number(7, message.unknown);
  return out.Take();
}

bool Decode(std::string_view payload, StatusReply* message) {
  *message = {};
  return ForEachField(payload, [&](const Tlv& field) {
    if (field.tag == 2) message->uptime_ms = field.Number();
    if (field.tag == 3) message->clients = static_cast<uint32_t>(field.Number());
    if (field.tag == 4) message->created = static_cast<uint32_t>(field.Number());
    if (field.tag == 5) message->running = static_cast<uint32_t>(field.Number());
    if (field.tag == 6) message->ended = static_cast<uint32_t>(field.Number());
    if (field.tag == 7) message->unknown = static_cast<uint32_t>(field.Number());
    return field.tag != 1 || Decode(field.value, &message->launcher);
  });
}

std::string Encode(const StartedEvent& message) { return EncodeInfo(message); }
bool Decode(std::string_view payload, StartedEvent* message) {
  *message = {};
  return DecodeInfo(payload, message);
}

std::string Encode(const ExitedEvent& message) { return EncodeInfo(message); }
bool Decode(std::string_view payload, ExitedEvent* message) {
  *message = {};
  return DecodeInfo(payload, message);
}

std::string EncodeFrame(uint16_t type, uint64_t request_id, std::string_view payload) {
  std::string out;
  out.reserve(kFrameHeaderBytes + payload.size());
  base::AppendLittle(out, static_cast<uint32_t>(payload.size()));
  base::AppendLittle(out, kProtocolVersion);
  base::AppendLittle(out, type);
  base::AppendLittle(out, request_id);
  out += payload;
  return out;
}

std::string ErrorFrame(uint16_t type, uint64_t request_id, ErrorCode code,
                       std::string_view message) {
  TlvWriter out;
  out.Number(kErrorCode, static_cast<uint64_t>(code));
  out.Bytes(kErrorMessage, message);
  return EncodeFrame(type | kReplyBit, request_id, out.Take());
}

ReplyError DecodeError(std::string_view payload) {
  ReplyError error;
  ForEachField(payload, [&](const Tlv& field) {
    if (field.tag == kErrorCode) error.code = static_cast<ErrorCode>(field.Number());
    if (field.tag == kErrorMessage) error.message = field.String();
    return true;
  });
  return error;
}

void FrameParser::Append(std::string_view bytes) {
  buffer_.erase(0, consumed_);
  consumed_ = 0;
  buffer_ += bytes;
}

FrameParser::Result FrameParser::Next(Frame* frame) {
  const std::string_view left = std::string_view(buffer_).substr(consumed_);
  if (left.size() < kFrameHeaderBytes) return Result::kNeedMore;
  const auto length = base::LittleAt<uint32_t>(left, 0);
  if (length > kPayloadBytesMax) return Result::kMalformed;
  if (left.size() < kFrameHeaderBytes + length) return Result::kNeedMore;
  frame->version = base::LittleAt<uint16_t>(left, 4);
  frame->type = base::LittleAt<uint16_t>(left, 6);
  frame->request_id = base::LittleAt<uint64_t>(left, 8);
  frame->payload = left.substr(kFrameHeaderBytes, length);
  consumed_ += kFrameHeaderBytes + length;
  return Result::kFrame;
}

bool IsValidId(std::string_view id) {
  if (id.empty() || id.size() > kIdBytesMax || id[0] == '.') return false;
  return std::all_of(id.begin(), id.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
           c == '_' || c == '-';
  });
}

std::string LaunchDirectory(const std::string& state_dir) { return state_dir + "/launch"; }

std::string SocketPath(const std::string& state_dir) {
  return LaunchDirectory(state_dir) + "/launch.sock";
}

int ConnectToLauncher(const std::string& state_dir) {
  // Outlives connect(2), which is when the path is looked up.
  base::UniqueFd directory;
  std::string path = SocketPath(state_dir);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof(address.sun_path)) {
    directory.Reset(open(LaunchDirectory(state_dir).c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
    if (!directory.valid()) return -1;
    path = "/proc/self/fd/" + std::to_string(directory.get()) + "/launch.sock";
  }
  std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
  base::UniqueFd fd(socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!fd.valid()) return -1;
  if (connect(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address)) != 0) return -1;
  return fd.Release();
}

}  // namespace boxkeeper::launcher
