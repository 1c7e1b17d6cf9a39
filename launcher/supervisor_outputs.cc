// A task's outputs: from its end to the manifest beside its spool, before anyone is told of the
// end.
//
// They are read by a collector that has the rights of the task's user and sees what the task saw:
// the init of an isolated sandbox, else a process of our own. What it sends is written down here;
// no name that the task chose is ever resolved with our rights.
#include <fcntl.h>
#include <grp.h>
#include <linux/close_range.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "base/fault_points.h"
#include "launcher/outputs/collector.h"
#include "launcher/supervision.h"

namespace boxkeeper::launcher {
namespace {

constexpr size_t kReadBytes = 256 * 1024;
// One wake-up reads so much, so that the streams have their turn.
constexpr int kReadsPerWakeUp = 8;
// A collector on the host ends by itself at its deadline; so much later it is ended.
constexpr uint64_t kCollectorMarginNs = 1'000 * kMillisecond;

// Never returns. What is sent is all that this process has an effect on.
[[noreturn]] void RunCollector(const CollectRequest& request, const Account& account, int out,
                               pid_t parent) {
  setsid();
  unsigned next = 0;
  for (const int kept : {std::min(request.workdir, out), std::max(request.workdir, out)}) {
    const auto fd = static_cast<unsigned>(kept);
    if (fd > next) syscall(SYS_close_range, next, fd - 1, 0);
    next = fd + 1;
  }
  syscall(SYS_close_range, next, ~0u, 0);
  if (account.uid != geteuid() || account.gid != getegid()) {
    if (setgroups(account.groups.size(), account.groups.data()) != 0 ||
        setresgid(account.gid, account.gid, account.gid) != 0 ||
        setresuid(account.uid, account.uid, account.uid) != 0) {
      _exit(1);
    }
  }
  prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
  prctl(PR_SET_DUMPABLE, 0);
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != parent) _exit(1);
  _exit(CollectOutputs(request, out) ? 0 : 1);
}

}  // namespace

bool Supervisor::MakeOutputsPipe(std::string* error) {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) {
    *error = std::string("outputs: pipe: ") + std::strerror(errno);
    return false;
  }
  outputs_end_.Reset(ends[0]);
  outputs_input_.Reset(ends[1]);
  fcntl(ends[0], F_SETFL, O_NONBLOCK);
  return true;
}

void Supervisor::WatchOutputs() {
  receiver_.Begin({.path = outputs_.path,
                   .files_max = outputs_.files_max,
                   .bytes_max = outputs_.bytes_max,
                   .spare_bytes = Spool::kSpareBytes});
  loop_.Add(outputs_end_.get(), EPOLLIN, [this](uint32_t) { OnOutputs(); });
}

void Supervisor::OnOutputs() {
  std::string bytes(kReadBytes, '\0');
  for (int i = 0; i < kReadsPerWakeUp; ++i) {
    const ssize_t got = read(outputs_end_.get(), bytes.data(), bytes.size());
    if (got < 0 && errno == EINTR) continue;
    if (got < 0 && errno == EAGAIN) return;
    if (got > 0) {
      receiver_.Receive(std::string_view(bytes).substr(0, static_cast<size_t>(got)));
      continue;
    }
    loop_.Remove(outputs_end_.get());
    outputs_end_.Reset();
    OnTreeMayHaveChanged();
    return;
  }
}

bool Supervisor::CollectingInside() const {
  return main_reaped_ && WantsOutputs() && !receiver_.done() && Now() < collect_until_;
}

// What is whole by now is kept.
void Supervisor::GiveUpCollecting(const std::string& why) {
  if (!WantsOutputs() || collected_) return;
  receiver_.CutOff(why);
  collect_until_ = 0;
  if (collector_ > 0) kill(collector_, SIGKILL);
}

void Supervisor::BoundCollecting(uint64_t boot_ns) {
  if (!WantsOutputs() || collected_) return;
  loop_.At(boot_ns, [this] {
    if (!finished_) GiveUpCollecting("it was stopped while its outputs were collected");
  });
}

// The tree is gone: goes on as soon as there is no more to come of its outputs.
void Supervisor::OnCollected() {
  if (!WantsOutputs() || collected_) return Drain();
  // Every write end is closed, or about to be: what was sent is read to its end.
  if (outputs_end_.valid()) return;
  // A sandbox that was killed as a whole, as at its memory limit, has sent nothing, or not all.
  if (!receiver_.done() && CollectFromHost()) return;
  receiver_.CutOff("the collector died");
  StoreOutputs();
  collected_ = true;
  Drain();
}

// True: a collector runs; OnCollected is called again when it has ended.
bool Supervisor::CollectFromHost() {
  if (host_tried_ || (isolated_ && work_name_.empty())) return false;
  host_tried_ = true;
  // Secrets are no outputs.
  RemoveSecretFiles(secret_paths_, account_, workdir_.get());
  std::string error;
  if (!MakeOutputsPipe(&error)) return false;
  WatchOutputs();
  collect_until_ = Now() + outputs_.timeout_ms * kMillisecond;
  CollectRequest request;
  request.patterns = outputs_.patterns;
  request.workdir = workdir_.get();
  request.beneath_workdir = isolated_;
  request.workdir_name = work_name_;
  request.files_max = outputs_.files_max;
  request.bytes_max = outputs_.bytes_max;
  request.deadline_boot_ns = collect_until_;
  const pid_t parent = getpid();
  collector_ = fork();
  if (collector_ == 0) RunCollector(request, account_, outputs_input_.get(), parent);
  outputs_input_.Reset();
  loop_.At(collect_until_ + kCollectorMarginNs, [this] {
    if (!finished_) GiveUpCollecting("collecting took too long");
  });
  return true;
}

void Supervisor::StoreOutputs() {
  base::Failpoint("supervisor.outputs_received");
  const base::OutputsManifest& manifest = receiver_.manifest();
  exit_.outputs_skipped = manifest.skipped;
  if (!manifest.notes.empty()) exit_.outputs_note = manifest.notes[0];
  if (const int error = receiver_.Store(); error != 0) {
    exit_.outputs_note = std::string("the outputs could not be stored: ") + std::strerror(error);
    return;
  }
  exit_.outputs_collected = true;
  exit_.output_files = manifest.files.size();
  exit_.output_bytes = receiver_.bytes();
  base::Failpoint("supervisor.outputs_stored");
}

}  // namespace boxkeeper::launcher
