// From the launch spec to the running command.
#include <fcntl.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <optional>

#include "base/core/bytes.h"
#include "base/core/file_io.h"
#include "base/core/proc.h"
#include "base/fault_points.h"
#include "launcher/isolation/bubblewrap.h"
#include "launcher/spawn.h"
#include "launcher/supervision.h"

namespace boxkeeper::launcher {

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
  base::Failpoint("supervisor.begun");
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
  outputs_ = std::move(spec.outputs);
  if (isolated_ && spec.limits.disk_bytes == 0 &&
      (spec.workdir.empty() || spec.workdir == kInsideWork)) {
    work_name_ = kInsideWork;
  }
  spec.Wipe();
  spool_.CloseWriteEnds();
  outputs_input_.Reset();
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
  std::vector<base::UniqueFd> blobs;
  if (!workdir_.valid() || !OpenBlobs(spec, &blobs, error) ||
      !WriteFiles(spec, blobs, account_, workdir_.get(), error)) {
    return false;
  }
  blobs.clear();
  const base::UniqueFd input =
      OpenStdin(spec, account_, workdir_.get(), arguments_.input.get(), error);
  if (!input.valid()) return false;
  std::vector<std::string> argv;
  if (!MakeArguments(place_, spec, account_, &argv, error)) return false;
  std::vector<std::string> environment = MakeEnvironment(place_, spec, account_);
  SpawnRequest request;
  request.candidates = ProgramCandidates(argv[0], environment);
  request.argv = &argv;
  request.environment = &environment;
  request.stdin_fd = input.get();
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
  if (!spec.outputs.patterns.empty() && !MakeOutputsPipe(error)) return false;
  IsolatedRequest request;
  if (!OpenBlobs(spec, &request.blobs, error)) return false;
  request.host = arguments_.isolation;
  request.spec = &spec;
  request.memfd = arguments_.memfd.get();
  request.stdin_fd = arguments_.input.get();
  request.stdout_fd = spool_.write_end(0);
  request.stderr_fd = spool_.write_end(1);
  request.outputs_fd = outputs_input_.get();
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

// The launcher, whose client waits, hears of the start first; it can do without the start times in
// ticks, which only a later launcher needs.
void Supervisor::OnStarted() {
  base::Failpoint("supervisor.spawned");
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
  base::Failpoint("supervisor.start_told");
  WriteRecord(place_.directory, kPidFile, record, base::Durability::kProcessCrash);
  base::Failpoint("supervisor.pid_recorded");
  ReserveExitRecord();
  for (size_t i = 0; i < Spool::kStreams; ++i) WatchStream(i);
  if (WantsOutputs() && isolated_) WatchOutputs();
  if (run_timeout_ms_ > 0) {
    loop_.At(exit_.started_boot_ns + run_timeout_ms_ * kMillisecond, [this] { OnRunTimeout(); });
  }
}

}  // namespace boxkeeper::launcher
