#include "launcher/supervisor.h"

#include <fcntl.h>
#include <linux/close_range.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <optional>

#include "base/core/bytes.h"
#include "base/core/file_io.h"
#include "base/core/proc.h"
#include "launcher/event_loop.h"
#include "launcher/isolation/bubblewrap.h"
#include "launcher/isolation/isolated_command.h"
#include "launcher/launch_spec.h"
#include "launcher/limiter.h"
#include "launcher/prepare.h"
#include "launcher/process_tree.h"
#include "launcher/records.h"
#include "launcher/spawn.h"
#include "launcher/spool.h"
#include "launcher/supervisor_link.h"

namespace boxkeeper::launcher {
namespace {

constexpr uint64_t kMillisecond = 1'000'000;
// What the main process leaves behind gets TERM, and KILL this much later at the latest.
constexpr uint64_t kLeftoverGraceMs = 2'000;
// While killing: how soon to look for processes that a pass has missed.
constexpr uint64_t kKillRetryNs = 10 * kMillisecond;
// An isolated tree gets so long to be killed without its init.
constexpr uint64_t kKillInitNs = 320 * kMillisecond;
// And its init so long, after that of its leftovers, to leave.
constexpr uint64_t kInitMarginMs = 1'000;
constexpr uint64_t kKillRetryNsMax = 1'000 * kMillisecond;
// While output cannot be written: how soon to try again.
constexpr uint64_t kStallRetryNs = 200 * kMillisecond;
// Control groups whose last process is gone cannot be removed for a moment.
constexpr uint64_t kGroupRetryNs = 5 * kMillisecond;
constexpr int kGroupRemovalsMax = 40;
// An exit record must have room on a full disk.
constexpr off_t kExitBytesReserved = 4096;
constexpr size_t kErrorBytesMax = 1024;
constexpr char kExitBeside[] = "exit.new";

// States: preparing -> running -> (stopping ->) main reaped -> tree gone -> drained -> written.
class Supervisor {
 public:
  explicit Supervisor(SupervisorArguments arguments)
      : arguments_(std::move(arguments)),
        place_{arguments_.sandbox_id, arguments_.directory.get(), arguments_.directory_path} {
    exit_.sandbox_id = arguments_.sandbox_id;
    exit_.exec_id = arguments_.exec_id;
    exit_.boot_id = arguments_.boot_id;
    exit_.attester = "supervisor";
  }

  void Run() {
    std::string error;
    if (!Prepare(&error)) FinishUnstarted(error);
    while (!finished_) loop_.RunOnce();
  }

 private:
  // Before the command.
  bool Prepare(std::string* error);
  bool ReadSpec(LaunchSpec* spec, std::string* error);
  bool FindUser(const std::string& user, std::string* error);
  bool SpawnCommand(LaunchSpec& spec, std::string* error);
  bool SpawnIsolated(const LaunchSpec& spec, std::string* error);
  void FindInside();
  void NoteSecretPath(const std::string& path);
  bool WatchEverything(std::string* error);
  void ReserveExitRecord();
  void FinishUnstarted(const std::string& error);

  // While it runs.
  void OnStarted();
  void OnSignal();
  void OnControl(const Control& control);
  void OnRunTimeout();
  void Stop(uint64_t grace_ms);
  void Kill();
  void Reap();
  void OnMainEnded(int wait_status);
  void OnInitReport();
  void OnSandboxGone();
  void AddUsage(const rusage& usage);
  void OnReadable(size_t stream);
  void PauseStream(size_t stream);
  void WatchStream(size_t stream);

  // After it.
  void OnTreeMayHaveChanged();
  void Drain();
  void Finish();
  bool DirectoryIsRemoved() const;
  void RemoveGroups();
  void WriteExitRecord();
  void Notify(NoticeKind kind, const std::string& record);

  uint64_t Now() const { return base::BootNs(); }

  SupervisorArguments arguments_;
  const SandboxPlace place_;
  EventLoop loop_;
  base::UniqueFd signals_;
  base::UniqueFd exit_file_;
  Spool spool_;
  Account account_;
  base::UniqueFd workdir_;
  std::vector<std::string> secret_paths_;
  Limiter limiter_;
  uint64_t run_timeout_ms_ = 0;
  uint64_t grace_ms_ = 0;
  uint64_t final_drain_ms_ = 0;

  bool isolated_ = false;
  bool start_unknown_ = false;
  IsolatedCommand sandbox_;  // if isolated, with the next two
  pid_t init_ = -1;
  pid_t inside_ = -1;
  pid_t command_ = -1;  // our child: the command, or bwrap
  base::UniqueFd command_pidfd_;
  bool main_reaped_ = false;
  bool tree_gone_ = false;
  bool killing_ = false;
  bool killed_main_ = false;  // it was still there at the first SIGKILL
  bool finished_ = false;
  std::optional<uint64_t> kill_at_;
  EventLoop::TimerId kill_timer_ = 0;
  uint64_t kill_retry_ns_ = kKillRetryNs;
  std::optional<uint64_t> drain_until_;
  std::array<uint64_t, Spool::kStreams> drain_to_{};
  std::array<bool, Spool::kStreams> stream_open_{true, true};
  int group_removals_ = 0;
  ExitRecord exit_;
};

// A file of that size is made while the command runs, so that the end needs no new space; best
// effort where the file system cannot reserve. A recycled directory brings one along.
void Supervisor::ReserveExitRecord() {
  exit_file_.Reset(
      openat(place_.directory, kExitBeside, O_WRONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600));
  if (exit_file_.valid()) {
    fallocate(exit_file_.get(), FALLOC_FL_KEEP_SIZE, 0, kExitBytesReserved);
  }
}

bool Supervisor::ReadSpec(LaunchSpec* spec, std::string* error) {
  std::string bytes;
  const bool read = ReadSealedMemfd(arguments_.memfd.get(), &bytes, error) &&
                    DecodeLaunchSpec(bytes, spec, error);
  base::WipeString(bytes);
  if (!read) return false;
  for (const std::string& wrong : ValidateLaunchSpec(*spec)) {
    *error += (error->empty() ? "" : "; ") + wrong;
  }
  isolated_ = spec->isolation.kind != IsolationKind::kNone;
  if (isolated_ && !arguments_.isolation->ability().can()) {
    *error += "cannot isolate: " + arguments_.isolation->ability().why_not;
  }
  if (spec->limits.disk_bytes > 0 && spec->isolation.kind == IsolationKind::kNone) {
    *error += "limit disk cannot be applied: an ordinary process writes to the host's file systems";
  }
  return error->empty();
}

bool Supervisor::Prepare(std::string* error) {
  LaunchSpec spec;
  const bool prepared = ReadSpec(&spec, error) && WatchEverything(error) &&
                        FindUser(spec.user, error) && spool_.Open(spec, error) &&
                        (isolated_ ? SpawnIsolated(spec, error) : SpawnCommand(spec, error));
  arguments_.memfd.Reset();
  for (const LaunchFile& file : spec.files) {
    if (file.secret) NoteSecretPath(file.path);
  }
  run_timeout_ms_ = spec.run_timeout_ms;
  grace_ms_ = spec.grace_ms;
  final_drain_ms_ = spec.final_drain_ms;
  spec.Wipe();
  spool_.CloseWriteEnds();
  if (prepared) OnStarted();
  return prepared;
}

bool Supervisor::WatchEverything(std::string* error) {
  sigset_t wanted;
  sigemptyset(&wanted);
  sigaddset(&wanted, SIGCHLD);
  sigaddset(&wanted, SIGTERM);
  sigaddset(&wanted, ControlSignal());
  signals_.Reset(signalfd(-1, &wanted, SFD_CLOEXEC | SFD_NONBLOCK));
  const bool watched = loop_.valid() && signals_.valid() &&
                       loop_.Add(signals_.get(), EPOLLIN, [this](uint32_t) { OnSignal(); }) == 0;
  if (!watched) *error = std::string("supervisor: ") + std::strerror(errno);
  return watched;
}

bool Supervisor::FindUser(const std::string& user, std::string* error) {
  if (!user.empty()) return FindAccount(user, &account_, error);
  account_ = isolated_ ? arguments_.isolation->DefaultAccount(arguments_.self) : arguments_.self;
  return true;
}

// Of an isolated command only what lies in the work directory is anywhere but in its memory.
void Supervisor::NoteSecretPath(const std::string& path) {
  if (!isolated_ || path[0] != '/') return secret_paths_.push_back(path);
  const std::string work = std::string(kInsideWork) + "/";
  if (path.starts_with(work)) secret_paths_.push_back(path.substr(work.size()));
}

bool Supervisor::SpawnCommand(LaunchSpec& spec, std::string* error) {
  workdir_ = OpenWorkdir(place_, spec, account_, error);
  if (!workdir_.valid() || !WriteFiles(spec, account_, workdir_.get(), error)) return false;
  std::vector<std::string> argv;
  if (!MakeArguments(place_, spec, account_, &argv, error)) return false;
  std::vector<std::string> environment = MakeEnvironment(place_, spec, account_);
  SpawnRequest request;
  request.candidates = ProgramCandidates(argv[0], environment);
  request.argv = &argv;
  request.environment = &environment;
  request.stdin_fd = arguments_.input.get();
  request.stdout_fd = spool_.write_end(0);
  request.stderr_fd = spool_.write_end(1);
  request.workdir = workdir_.get();
  request.account = account_;
  request.forbid_core = HasSecrets(spec);
  request.open_files = arguments_.open_files;
  request.set_oom_score_adj = arguments_.reset_oom_score_adj;
  if (!limiter_.Apply(spec.limits, arguments_.cgroups, arguments_.group_name, error)) return false;
  request.group_entries = limiter_.entries();
  request.address_space = limiter_.address_space();
  SpawnResult result = Spawn(request);
  limiter_.OnSpawned();
  for (std::string& entry : environment) base::WipeString(entry);
  for (std::string& argument : argv) base::WipeString(argument);
  if (result.error != 0) {
    *error = result.stage + ": " + std::strerror(result.error);
    return false;
  }
  command_ = result.pid;
  command_pidfd_ = std::move(result.pidfd);
  return true;
}

// Waits until the init inside has told whether the command began. A stop meanwhile is the
// launcher's to carry out: it kills what we have started, which ends the wait.
bool Supervisor::SpawnIsolated(const LaunchSpec& spec, std::string* error) {
  LaunchSpec own_work;  // the host's side of /work
  workdir_ = OpenWorkdir(place_, own_work, account_, error);
  if (!workdir_.valid()) return false;
  if (!limiter_.Apply(spec.limits, arguments_.cgroups, arguments_.group_name, error)) return false;
  IsolatedRequest request;
  request.host = arguments_.isolation;
  request.spec = &spec;
  request.memfd = arguments_.memfd.get();
  request.stdin_fd = arguments_.input.get();
  request.stdout_fd = spool_.write_end(0);
  request.stderr_fd = spool_.write_end(1);
  request.account = account_;
  request.work_path = place_.path + "/" + kWorkDirectory;
  request.sandbox_id = place_.id;
  request.open_files = arguments_.open_files;
  request.address_space = limiter_.address_space();
  request.group_entries = limiter_.entries();
  request.set_oom_score_adj = arguments_.reset_oom_score_adj;
  const bool spawned = sandbox_.Spawn(request, error);
  limiter_.OnSpawned();
  if (!spawned) return false;
  command_ = sandbox_.pid();
  const std::optional<InitReport> first = sandbox_.AwaitStart();
  if (first && first->word == InitWord::kStarted) {
    FindInside();
    loop_.Add(sandbox_.report_fd(), EPOLLIN, [this](uint32_t) { OnInitReport(); });
    return true;
  }
  while (waitpid(command_, nullptr, 0) < 0 && errno == EINTR) {
  }
  if (first) {
    *error = first->text +
             (first->value != 0 ? std::string(": ") + std::strerror(first->value) : std::string());
  } else {
    *error = sandbox_.Complaint();
    // Killed, perhaps between the command's exec and the word of it.
    start_unknown_ = error->empty();
    if (start_unknown_) *error = "the sandbox was killed before it told whether the command began";
  }
  return false;
}

// The init is the only child of bwrap, and the command the first of the init's.
void Supervisor::FindInside() {
  for (const pid_t init : base::ChildrenOf(command_)) {
    init_ = init;
    for (const pid_t child : base::ChildrenOf(init)) {
      inside_ = child;
      command_pidfd_.Reset(base::PidfdOpen(child));
      return;
    }
  }
}

void Supervisor::OnInitReport() {
  while (const std::optional<InitReport> report = sandbox_.Next()) {
    if (report->word != InitWord::kEnded || main_reaped_) continue;
    exit_.leftovers_killed = report->text == "leftovers";
    OnMainEnded(report->value);
    // The init ends what is left; this is for one that cannot.
    loop_.At(Now() + (kLeftoverGraceMs + kInitMarginMs) * kMillisecond, [this] {
      if (!finished_) Kill();
    });
    break;
  }
  if (main_reaped_ || sandbox_.ended()) loop_.Remove(sandbox_.report_fd());
}

void Supervisor::OnMainEnded(int wait_status) {
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

// The launcher, whose client waits, hears of the start first; it can do without the start times in
// ticks, which only a later launcher needs.
void Supervisor::OnStarted() {
  exit_.started_unix_ns = base::UnixNs();
  exit_.started_boot_ns = Now();
  exit_.user_code_started = UserCodeStarted::kYes;
  PidRecord record;
  record.supervisor_pid = static_cast<uint32_t>(getpid());
  const pid_t command = isolated_ ? inside_ : command_;
  record.command_pid = static_cast<uint32_t>(std::max(command, 0));
  record.started_unix_ns = exit_.started_unix_ns;
  record.started_boot_ns = exit_.started_boot_ns;
  record.isolation = isolated_ ? "bubblewrap" : "none";
  record.limits = limiter_.text();
  Notify(NoticeKind::kStarted, EncodeRecord(record));
  // Not reaped yet, so /proc still shows it even if it has ended.
  if (const auto stat = base::ReadProcStat(command)) {
    record.command_start_ticks = stat->start_ticks;
  }
  if (const auto stat = base::ReadProcStat(getpid())) {
    record.supervisor_start_ticks = stat->start_ticks;
  }
  WriteRecord(place_.directory, kPidFile, record, base::Durability::kProcessCrash);
  ReserveExitRecord();
  for (size_t i = 0; i < Spool::kStreams; ++i) WatchStream(i);
  if (run_timeout_ms_ > 0) {
    loop_.At(exit_.started_boot_ns + run_timeout_ms_ * kMillisecond, [this] { OnRunTimeout(); });
  }
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
      Stop(control.grace_ms);
      break;
    case SignalMode::kKill:
      if (!main_reaped_) exit_.stop_requested = true;
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
  if (isolated_ && kill_retry_ns_ < kKillInitNs) {
    // First what is inside, so that the init can tell how it ended.
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
    Drain();
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
  loop_.At(Now() + kStallRetryNs, [this, stream] {
    if (finished_ || !stream_open_[stream]) return;
    WatchStream(stream);
    OnReadable(stream);
  });
}

void Supervisor::WatchStream(size_t stream) {
  loop_.Add(spool_.read_end(stream), EPOLLIN, [this, stream](uint32_t) { OnReadable(stream); });
}

// The tree is gone, so all that it wrote is in the pipes already; a stranger that holds a write end
// can keep the end of file away, and write on, but not make us wait for either.
void Supervisor::Drain() {
  if (!drain_until_) {
    drain_until_ = Now() + final_drain_ms_ * kMillisecond;
    for (size_t i = 0; i < Spool::kStreams; ++i) {
      drain_to_[i] = spool_.bytes(i) + spool_.WaitingBytes(i);
    }
  }
  bool stalled = false;
  for (size_t i = 0; i < Spool::kStreams; ++i) {
    while (!stalled && spool_.bytes(i) < drain_to_[i]) {
      const Spool::PumpResult result = spool_.Pump(i, /*past_limit=*/true);
      stalled = result == Spool::PumpResult::kStalled;
      if (result != Spool::PumpResult::kMoved) break;
    }
  }
  if (!stalled) {
    Finish();
  } else if (Now() >= *drain_until_) {
    exit_.error = "output was lost at the end: " + spool_.stall_reason();
    Finish();
  } else {
    loop_.At(Now() + kStallRetryNs, [this] {
      if (!finished_) Drain();
    });
  }
}

void Supervisor::Finish() {
  RemoveSecretFiles(secret_paths_, account_, workdir_.get());
  launcher::AddUsage(limiter_.Usage(), killed_main_, &exit_);
  exit_.stdout_bytes = spool_.bytes(0);
  exit_.stderr_bytes = spool_.bytes(1);
  exit_.stdout_dropped_bytes = spool_.dropped_bytes(0);
  exit_.stderr_dropped_bytes = spool_.dropped_bytes(1);
  RemoveGroups();
}

void Supervisor::FinishUnstarted(const std::string& error) {
  exit_.kind = start_unknown_ ? EndKind::kSupervisorLost : EndKind::kStartFailed;
  exit_.user_code_started = start_unknown_ ? UserCodeStarted::kUnknown : UserCodeStarted::kNo;
  exit_.tree_fenced = true;
  exit_.error = error.substr(0, kErrorBytesMax);
  exit_.ended_unix_ns = base::UnixNs();
  exit_.ended_boot_ns = Now();
  if (workdir_.valid()) RemoveSecretFiles(secret_paths_, account_, workdir_.get());
  RemoveGroups();
}

// Nothing of the tree is left, so this works at once or within moments. What a stranger holds on to
// by having put itself in there is left to the launcher.
void Supervisor::RemoveGroups() {
  if (limiter_.Remove() || ++group_removals_ == kGroupRemovalsMax) {
    WriteExitRecord();
  } else {
    loop_.At(Now() + kGroupRetryNs, [this] { RemoveGroups(); });
  }
}

// Whether the command has removed the sandbox's own directory, as a careless or hostile one of the
// same user can: no record will ever have a name in it again.
bool Supervisor::DirectoryIsRemoved() const {
  struct stat status{};
  return fstat(place_.directory, &status) == 0 && status.st_nlink == 0;
}

// Not synced: the client journals the end before it tells anyone, and the launcher syncs what no
// client takes (ADR 0003). On an error it is tried until it works: an end without a record would be
// a lie by omission. Where no
// record can be, the notice alone tells the end, and a launcher that misses it that we are gone.
void Supervisor::WriteExitRecord() {
  const std::string bytes = EncodeRecord(exit_);
  if (!exit_file_.valid()) ReserveExitRecord();
  const bool written = exit_file_.valid() &&
                       pwrite(exit_file_.get(), bytes.data(), bytes.size(), 0) ==
                           static_cast<ssize_t>(bytes.size()) &&
                       renameat(place_.directory, kExitBeside, place_.directory, kExitFile) == 0;
  if (written || DirectoryIsRemoved()) {
    Notify(NoticeKind::kExited, bytes);
    finished_ = true;
    return;
  }
  exit_file_.Reset();
  loop_.At(Now() + kStallRetryNs, [this] { WriteExitRecord(); });
}

// Never waits for the launcher: one that is stopped or slow must not hold the command's output. A
// notice is at most PIPE_BUF long, so all or nothing is written; what a full pipe refuses is
// dropped, as the launcher finds the record by itself.
void Supervisor::Notify(NoticeKind kind, const std::string& record) {
  const std::string notice = EncodeNotice({kind, arguments_.sandbox_id, record});
  (void)!write(arguments_.notices.get(), notice.data(), notice.size());
}

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
