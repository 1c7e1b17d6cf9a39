// What launcher and supervisor say to each other; both are this very binary, so nothing here is
// versioned except by the records that outlive them.
//
// Supervisor to launcher: one pipe for all supervisors of a launcher. A message is at most PIPE_BUF
// long and so arrives whole: length u32, kind u32, then sandbox id and record as TLV. A hint: when
// it is lost, the record's file and the supervisor's end say the same.
//
// Launcher to supervisor: a queued real-time signal that carries one word, sent through a pidfd. It
// reaches a supervisor that an earlier launcher started, and needs no descriptor per sandbox.
#pragma once

#include <signal.h>

#include <cstdint>
#include <string>
#include <string_view>

#include "launcher/protocol.h"

namespace boxkeeper::launcher {

enum class NoticeKind : uint32_t { kStarted = 1, kExited = 2 };

struct Notice {
  NoticeKind kind = NoticeKind::kStarted;
  std::string sandbox_id;
  std::string record;  // PidRecord or ExitRecord, as in its file
};

std::string EncodeNotice(const Notice& notice);
// Takes the first whole notice off `buffer`; false when there is none. A damaged one is skipped.
bool TakeNotice(std::string* buffer, Notice* notice);

// The name (comm) of a sandbox's supervisor: at most 15 bytes, the last of the id.
std::string SupervisorName(const std::string& sandbox_id);

struct Control {
  SignalMode mode = SignalMode::kStop;
  int signal = 0;         // kSend
  uint64_t grace_ms = 0;  // kStop; at most 2^40
};

// SIGRTMIN is not a constant, and the first two belong to the C library.
inline int ControlSignal() { return SIGRTMIN + 4; }
uint64_t PackControl(const Control& control);
Control UnpackControl(uint64_t word);
// 0 or an errno value; ESRCH = the supervisor is gone.
int SendControl(int pidfd, const Control& control);

}  // namespace boxkeeper::launcher
