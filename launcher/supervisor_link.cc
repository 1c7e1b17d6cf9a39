#include "launcher/supervisor_link.h"

#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "base/core/bytes.h"
#include "launcher/tlv.h"

namespace boxkeeper::launcher {
namespace {

constexpr uint64_t kGraceMax = 1ull << 40;

}  // namespace

std::string EncodeNotice(const Notice& notice) {
  TlvWriter fields;
  fields.Bytes(1, notice.sandbox_id);
  fields.Bytes(2, notice.record);
  const std::string payload = fields.Take();
  std::string out;
  base::AppendLittle(out, static_cast<uint32_t>(payload.size()));
  base::AppendLittle(out, static_cast<uint32_t>(notice.kind));
  return out + payload;
}

bool TakeNotice(std::string* buffer, Notice* notice) {
  constexpr size_t kHeader = 8;
  while (buffer->size() >= kHeader) {
    const auto length = base::LittleAt<uint32_t>(*buffer, 0);
    if (buffer->size() - kHeader < length) return false;
    const std::string payload = buffer->substr(kHeader, length);
    *notice = {};
    notice->kind = static_cast<NoticeKind>(base::LittleAt<uint32_t>(*buffer, 4));
    buffer->erase(0, kHeader + length);
    TlvReader reader(payload);
    Tlv field;
    while (reader.Next(&field)) {
      if (field.tag == 1) notice->sandbox_id = field.String();
      if (field.tag == 2) notice->record = field.String();
    }
    if (reader.ok()) return true;
  }
  return false;
}

std::string SupervisorName(const std::string& sandbox_id) {
  constexpr size_t kIdBytes = 12;
  return "bx:" + (sandbox_id.size() > kIdBytes ? sandbox_id.substr(sandbox_id.size() - kIdBytes)
                                               : sandbox_id);
}

uint64_t PackControl(const Control& control) {
  return static_cast<uint64_t>(control.mode) | static_cast<uint64_t>(control.signal) << 8 |
         std::min(control.grace_ms, kGraceMax) << 16;
}

Control UnpackControl(uint64_t word) {
  return Control{.mode = static_cast<SignalMode>(word & 0xff),
                 .signal = static_cast<int>(word >> 8 & 0xff),
                 .grace_ms = word >> 16};
}

int SendControl(int pidfd, const Control& control) {
  siginfo_t info{};
  info.si_signo = ControlSignal();
  info.si_code = SI_QUEUE;
  info.si_pid = getpid();
  info.si_uid = getuid();
  static_assert(sizeof(info.si_value) == sizeof(uint64_t));
  const uint64_t word = PackControl(control);
  std::memcpy(&info.si_value, &word, sizeof(word));
  return syscall(SYS_pidfd_send_signal, pidfd, ControlSignal(), &info, 0) == 0 ? 0 : errno;
}

}  // namespace boxkeeper::launcher
