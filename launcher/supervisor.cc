// While the command runs; and the process around it.
#include "launcher/supervisor.h"

#include <linux/close_range.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>
#include <vector>

#include "base/core/proc.h"
#include "base/fault_points.h"
#include "launcher/process_tree.h"
#include "launcher/supervision.h"

namespace boxkeeper::launcher {
namespace {

// What the main process leaves behind gets TERM, and KILL this much later at the latest.
constexpr uint64_t kLeftoverGraceMs = 2'000;
// An isolated tree gets so long to be killed without its init.
constexpr uint64_t kKillInitNs = 320 * kMillisecond;
// And its init so long, after that of its leftovers, to leave.
constexpr uint64_t kInitMarginMs = 1'000;
constexpr uint64_t kKillRetryNsMax = 1'000 * kMillisecond;

}  // namespace

void Supervisor::OnInitReport() {
  while (const std::optional<InitReport> report = sandbox_.Next()) {
    if (report->word != InitWord::kEnded || main_reaped_) continue;
    exit_.leftovers_killed = report->text == "leftovers";
    OnMainEnded(report->value);
    // The init ends what is left, and sends the outputs; this is for one that cannot.
    const uint64_t collecting_ms = WantsOutputs() ? outputs_.timeout_ms : 0;
    collect_until_ = Now() + (kLeftoverGraceMs + kInitMarginMs + collecting_ms) * kMillisecond;
    loop_.At(collect_until_, [this] {
      if (finished_ || tree_gone_) return;
      GiveUpCollecting("collecting took too long");
      Kill();
    });
    break;
  }
  if (main_reaped_ || sandbox_.ended()) loop_.Remove(sandbox_.report_fd());
}

void Supervisor::OnMainEnded(int wait_status) {
  base::Failpoint("supervisor.command_ended");
  main_reaped_ = true;
  exit_.kind = EndKind::kExited;
  exit_.wait_status = wait_status;
  exit_.ended_unix_ns = base::UnixNs();
  exit_.ended_boot_ns = Now();
}

// bwrap is gone, and with it all that was inside.
void Supervisor::OnSandboxGone() {
  OnInitReport();
  if (main_reaped_) return;
  // Nobody saw the command's end. Killed by us, or at the memory limit, it was by this signal.
  OnMainEnded(SIGKILL);
  if (killing_) return;
  launcher::AddUsage(limiter_.Usage(), /*killed_by_us=*/false, &exit_);
  if (exit_.oom_killed) return;
  exit_.kind = EndKind::kSupervisorLost;
  exit_.wait_status = 0;
  exit_.error = "the sandbox was killed from outside";
}

void Supervisor::OnSignal() {
  signalfd_siginfo info{};
  bool children = false;
  while (read(signals_.get(), &info, sizeof(info)) == sizeof(info)) {
    if (info.ssi_signo == SIGCHLD) {
      children = true;
    } else if (info.ssi_signo == SIGTERM) {
      OnControl({.mode = SignalMode::kStop, .grace_ms = grace_ms_});
    } else {
      OnControl(UnpackControl(info.ssi_ptr));
    }
  }
  if (children) Reap();
}

void Supervisor::OnControl(const Control& control) {
  switch (control.mode) {
    case SignalMode::kSend:
      if (!main_reaped_) base::PidfdSignal(command_pidfd_.get(), control.signal);
      break;
    case SignalMode::kStop:
      if (!main_reaped_) exit_.stop_requested = true;
      if (main_reaped_) BoundCollecting(Now() + control.grace_ms * kMillisecond);
      Stop(control.grace_ms);
      break;
    case SignalMode::kKill:
      if (!main_reaped_) exit_.stop_requested = true;
      if (main_reaped_) GiveUpCollecting("it was killed while its outputs were collected");
      Kill();
      break;
  }
}

void Supervisor::OnRunTimeout() {
  if (main_reaped_) return;
  exit_.timed_out = true;
  Stop(grace_ms_);
}

// TERM now, KILL at the earliest of all deadlines that were asked for.
void Supervisor::Stop(uint64_t grace_ms) {
  if (tree_gone_ || killing_) return;
  const uint64_t at = Now() + grace_ms * kMillisecond;
  if (kill_at_ && *kill_at_ <= at) return;
  const bool first = !kill_at_;
  kill_at_ = at;
  loop_.Cancel(kill_timer_);
  kill_timer_ = loop_.At(at, [this] { Kill(); });
  if (!first) return;
  // bwrap and the init are no part of what is asked to end.
  if (isolated_) {
    SignalDescendantsOf(init_, SIGTERM);
  } else {
    SignalDescendants(SIGTERM);
  }
}

// Again and again until nothing is left; each end of a child may also bring the proof.
void Supervisor::Kill() {
  if (tree_gone_) return;
  killing_ = true;
  killed_main_ = killed_main_ || !main_reaped_;
  if (isolated_ && (kill_retry_ns_ < kKillInitNs || CollectingInside())) {
    // First what is inside, so that the init can tell how it ended, and send the outputs.
    limiter_.LiftCpu();
    KillDescendantsOf(init_);
  } else {
    limiter_.Kill();
    KillDescendants();
  }
  loop_.Cancel(kill_timer_);
  kill_timer_ = loop_.At(Now() + kill_retry_ns_, [this] { Kill(); });
  kill_retry_ns_ = std::min(kill_retry_ns_ * 2, kKillRetryNsMax);
}

void Supervisor::AddUsage(const rusage& usage) {
  const auto micros = [](const timeval& time) {
    return static_cast<uint64_t>(time.tv_sec) * 1'000'000 + static_cast<uint64_t>(time.tv_usec);
  };
  exit_.peak_rss_bytes =
      std::max(exit_.peak_rss_bytes, static_cast<uint64_t>(usage.ru_maxrss) * 1024);
  exit_.cpu_user_us += micros(usage.ru_utime);
  exit_.cpu_system_us += micros(usage.ru_stime);
}

void Supervisor::Reap() {
  for (;;) {
    int status = 0;
    rusage usage{};
    const pid_t pid = wait4(-1, &status, WNOHANG, &usage);
    if (pid < 0 && errno == ECHILD) {
      tree_gone_ = true;
      break;
    }
    if (pid <= 0) break;
    AddUsage(usage);
    if (pid != command_) continue;
    if (isolated_) {
      OnSandboxGone();
    } else if (!main_reaped_) {
      OnMainEnded(status);
    }
  }
  OnTreeMayHaveChanged();
}

void Supervisor::OnTreeMayHaveChanged() {
  if (finished_ || !main_reaped_) return;
  if (tree_gone_) {
    // As subreaper every descendant becomes our child before it can be lost: no child, no tree.
    loop_.Cancel(kill_timer_);
    exit_.tree_fenced = true;
    OnCollected();
    return;
  }
  if (exit_.leftovers_killed || isolated_) return;
  exit_.leftovers_killed = true;
  Stop(std::min(grace_ms_, kLeftoverGraceMs));
}

// One read per wake-up and stream, so that neither stream starves the other.
void Supervisor::OnReadable(size_t stream) {
  switch (spool_.Pump(stream)) {
    case Spool::PumpResult::kMoved:
      stall_retry_ns_[stream] = kStallRetryNsMin;
      break;
    case Spool::PumpResult::kEmpty:
      break;
    case Spool::PumpResult::kEnd:
      stream_open_[stream] = false;
      loop_.Remove(spool_.read_end(stream));
      break;
    case Spool::PumpResult::kStalled:
      PauseStream(stream);
      break;
  }
}

// Not reading holds the command back when its pipe is full. (A watch without events would still
// wake up for a closed pipe, over and over.)
void Supervisor::PauseStream(size_t stream) {
  loop_.Remove(spool_.read_end(stream));
  uint64_t& wait = stall_retry_ns_[stream];
  const uint64_t at = Now() + wait;
  wait = std::min(wait * 2, kStallRetryNs);
  loop_.At(at, [this, stream] {
    if (finished_ || !stream_open_[stream]) return;
    WatchStream(stream);
    OnReadable(stream);
  });
}

void Supervisor::WatchStream(size_t stream) {
  loop_.Add(spool_.read_end(stream), EPOLLIN, [this, stream](uint32_t) { OnReadable(stream); });
}

namespace {

// Leaves open only what a supervisor needs; the launcher's sockets and lock must not live on here.
void CloseOthers(const SupervisorArguments& arguments) {
  std::vector<unsigned> kept = {static_cast<unsigned>(arguments.directory.get()),
                                static_cast<unsigned>(arguments.memfd.get()),
                                static_cast<unsigned>(arguments.notices.get()),
                                static_cast<unsigned>(arguments.input.get())};
  for (const int fd : arguments.isolation->descriptors()) kept.push_back(static_cast<unsigned>(fd));
  std::sort(kept.begin(), kept.end());
  unsigned first = 3;
  for (const unsigned fd : kept) {
    if (fd > first) syscall(SYS_close_range, first, fd - 1, 0);
    first = fd + 1;
  }
  syscall(SYS_close_range, first, ~0u, 0);
}

}  // namespace

void RunSupervisor(SupervisorArguments arguments) {
  CloseOthers(arguments);
  setsid();
  umask(022);
  prctl(PR_SET_NAME, SupervisorName(arguments.sandbox_id).c_str());
  prctl(PR_SET_CHILD_SUBREAPER, 1);
  // Not core-dumped, not traceable by the task's user: it has held secrets.
  prctl(PR_SET_DUMPABLE, 0);
  // Never deleted: the end of the process does that, and sooner.
  (new Supervisor(std::move(arguments)))->Run();
  _exit(0);
}

}  // namespace boxkeeper::launcher
