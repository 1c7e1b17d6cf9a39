#include "launcher/sandboxes.h"

#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstring>
#include <utility>

#include "base/core/proc.h"
#include "base/fault_points.h"
#include "launcher/supervisor.h"

namespace boxkeeper::launcher {
namespace {

// Room for the notices of some thousand supervisors that end at once.
constexpr int kNoticePipeBytes = 1 << 20;
constexpr size_t kListOverheadBytes = 256;
constexpr uint64_t kControlRetryNs = 50'000'000;
// How long after its time a supervisor may still be killing before the launcher does it.
constexpr uint64_t kOwnKillDelayNs = 500'000'000;

std::string Describe(const char* what, int error) {
  return std::string(what) + ": " + std::strerror(error);
}

Failure NotFound(const std::string& id) {
  return {ErrorCode::kNotFound, "no sandbox '" + id + "'"};
}

bool IsSealed(int fd) {
  constexpr int kWanted = F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK;
  const int seals = fcntl(fd, F_GET_SEALS);
  return seals >= 0 && (seals & kWanted) == kWanted;
}

}  // namespace

Sandboxes::Sandboxes(EventLoop& loop, Journal& journal, Options options, Listener listener)
    : loop_(loop), journal_(journal), options_(std::move(options)), listener_(std::move(listener)) {
  int ends[2];
  // Where there is no /dev/null (a bare root file system), an empty pipe reads the same.
  input_.Reset(open("/dev/null", O_RDONLY | O_CLOEXEC));
  if (!input_.valid() && pipe2(ends, O_CLOEXEC) == 0) {
    input_.Reset(ends[0]);
    close(ends[1]);
  }
  if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) != 0) return;
  notices_.Reset(ends[0]);
  notices_write_.Reset(ends[1]);
  fcntl(ends[0], F_SETPIPE_SZ, kNoticePipeBytes);
  loop_.Add(ends[0], EPOLLIN, [this](uint32_t) { OnNotices(); });
}

Sandboxes::Sandbox* Sandboxes::Find(const std::string& id) {
  const auto found = sandboxes_.find(id);
  return found == sandboxes_.end() ? nullptr : &found->second;
}

Failure Sandboxes::Create(const CreateRequest& request, CreateReply* reply) {
  if (!IsValidId(request.id)) return {ErrorCode::kInvalid, "id: malformed"};
  if (request.name.size() > kNameBytesMax) return {ErrorCode::kInvalid, "name: too long"};
  if (request.labels.size() > kLabelsBytesMax) return {ErrorCode::kInvalid, "labels: too long"};
  if (const Sandbox* existing = Find(request.id)) {
    *reply = {.already_exists = true, .info = existing->info};
    return {};
  }
  const BootRecord record{request.id, request.name, request.labels, options_.boot_id,
                          base::UnixNs()};
  if (const int error = directories_.Create(record); error != 0) {
    return {ErrorCode::kResource, Describe("create sandbox", error)};
  }
  base::Failpoint("launcher.create.recorded");
  SandboxInfo& info = sandboxes_[request.id].info;
  info.id = record.id;
  info.name = record.name;
  info.labels = record.labels;
  info.state = SandboxState::kCreated;
  info.boot_id = record.boot_id;
  info.created_unix_ns = record.created_unix_ns;
  *reply = {.already_exists = false, .info = info};
  return {};
}

void Sandboxes::Start(const StartRequest& request, base::UniqueFd memfd,
                      const Done<StartReply>& done) {
  Sandbox* sandbox = Find(request.id);
  if (sandbox == nullptr) return done(NotFound(request.id), {});
  if (!IsValidId(request.exec_id)) return done({ErrorCode::kInvalid, "exec_id: malformed"}, {});
  const SandboxInfo& info = sandbox->info;
  if (info.exec_id == request.exec_id) {
    if (info.state != SandboxState::kStarting) return done({}, {.repeated = true, .info = info});
    sandbox->starts.emplace_back(done, true);
    return;
  }
  if (info.state != SandboxState::kCreated) {
    const char* why = info.exec_id.empty() ? "the sandbox has ended" : "another exec was started";
    return done({ErrorCode::kConflict, why}, {});
  }
  if (!memfd.valid() || !IsSealed(memfd.get())) {
    return done({ErrorCode::kInvalid, "no sealed memfd came with the frame"}, {});
  }
  const Failure failure = Fork(*sandbox, request, std::move(memfd));
  if (failure.code != ErrorCode::kOk) return done(failure, {});
  sandbox->starts.emplace_back(done, false);
}

Failure Sandboxes::Fork(Sandbox& sandbox, const StartRequest& request, base::UniqueFd memfd) {
  SandboxInfo& info = sandbox.info;
  SupervisorArguments arguments;
  arguments.sandbox_id = info.id;
  arguments.exec_id = request.exec_id;
  arguments.boot_id = options_.boot_id;
  arguments.directory_path = options_.launch_path + "/sandboxes/" + info.id;
  arguments.open_files = options_.open_files;
  arguments.self = options_.self;
  arguments.reset_oom_score_adj = options_.reset_oom_score_adj;
  arguments.isolation = options_.isolation;
  arguments.cgroups = options_.cgroups;
  arguments.group_name = options_.group_prefix + info.id;
  arguments.directory = directories_.OpenOne(info.id);
  // Held by the supervisor through its copy of the descriptor: who gets this lock later knows that
  // there is no supervisor any more, whatever its pid means by then.
  if (!arguments.directory.valid() || flock(arguments.directory.get(), LOCK_EX | LOCK_NB) != 0) {
    return {ErrorCode::kInternal, Describe("lock sandbox", errno)};
  }
  const StartedRecord started{request.exec_id, options_.boot_id, base::UnixNs()};
  if (const int error = WriteRecord(arguments.directory.get(), kStartedFile, started,
                                    base::Durability::kProcessCrash)) {
    return {ErrorCode::kResource, Describe("write started record", error)};
  }
  base::Failpoint("launcher.start.recorded");
  const pid_t pid = fork();
  if (pid == 0) {
    arguments.memfd = std::move(memfd);
    arguments.notices.Reset(notices_write_.Release());
    arguments.input.Reset(input_.Release());
    RunSupervisor(std::move(arguments));
  }
  if (pid < 0) {
    const int error = errno;
    // Nothing was forked, so nothing has started: the sandbox is as before.
    unlinkat(arguments.directory.get(), kStartedFile, 0);
    return {ErrorCode::kResource, Describe("fork", error)};
  }
  base::Failpoint("launcher.start.forked");
  info.exec_id = request.exec_id;
  info.state = SandboxState::kStarting;
  info.supervisor_pid = static_cast<uint32_t>(pid);
  children_[pid] = info.id;
  CheckStartingLater(sandbox);
  return {};
}

Failure Sandboxes::Signal(const SignalRequest& request, SignalReply* reply) {
  Sandbox* sandbox = Find(request.id);
  if (sandbox == nullptr) return NotFound(request.id);
  if (request.mode == SignalMode::kSend && (request.signal == 0 || request.signal > 64)) {
    return {ErrorCode::kInvalid, "signal: not one of 1 to 64"};
  }
  switch (sandbox->info.state) {
    case SandboxState::kCreated: {
      if (request.mode == SignalMode::kSend) return {ErrorCode::kConflict, "not started"};
      ExitRecord exit = MakeEnd(*sandbox, EndKind::kNeverStarted);
      exit.stop_requested = true;
      End(*sandbox, exit, /*write=*/true);
      break;
    }
    case SandboxState::kStarting:
    case SandboxState::kRunning:
      SendOrQueue(*sandbox, {request.mode, static_cast<int>(request.signal), request.grace_ms});
      break;
    case SandboxState::kEnded:
    case SandboxState::kUnknown:
      break;
  }
  reply->info = sandbox->info;
  return {};
}

void Sandboxes::Destroy(const DestroyRequest& request, const Done<DestroyReply>& done) {
  Sandbox* sandbox = Find(request.id);
  if (sandbox == nullptr) return done({}, {.was_absent = true, .fenced = true});
  sandbox->destroys.push_back(done);
  if (sandbox->info.state == SandboxState::kStarting ||
      sandbox->info.state == SandboxState::kRunning) {
    SendOrQueue(*sandbox, {.mode = SignalMode::kKill});
  } else {
    Remove(*sandbox);
  }
}

Failure Sandboxes::Inspect(const InspectRequest& request, InspectReply* reply) const {
  const auto found = sandboxes_.find(request.id);
  if (found == sandboxes_.end()) return NotFound(request.id);
  reply->info = found->second.info;
  return {};
}

ListReply Sandboxes::List(const ListRequest& request) const {
  ListReply reply;
  size_t bytes = kListOverheadBytes;
  for (auto next = sandboxes_.upper_bound(request.cursor); next != sandboxes_.end(); ++next) {
    const size_t length = Encode(next->second.info).size() + 6;
    const bool full = bytes + length > kPayloadBytesMax ||
                      (request.limit > 0 && reply.sandboxes.size() >= request.limit);
    if (full) {
      reply.next_cursor = reply.sandboxes.back().id;
      break;
    }
    bytes += length;
    reply.sandboxes.push_back(next->second.info);
  }
  return reply;
}

void Sandboxes::Fence(const FenceRequest& request, const Done<FenceReply>& done) {
  Sandbox* sandbox = Find(request.id);
  if (sandbox == nullptr) return done({}, {.was_absent = true, .info = std::nullopt});
  switch (sandbox->info.state) {
    case SandboxState::kCreated:
      sandbox->fences.push_back(done);
      End(*sandbox, MakeEnd(*sandbox, EndKind::kNeverStarted), /*write=*/true);
      return;
    case SandboxState::kStarting:
    case SandboxState::kRunning:
      sandbox->fences.push_back(done);
      SendOrQueue(*sandbox, {.mode = SignalMode::kKill});
      return;
    case SandboxState::kEnded:
      if (sandbox->info.exit->tree_fenced) {
        return done({}, {.was_absent = false, .info = sandbox->info});
      }
      return done({ErrorCode::kUnconfirmed, sandbox->info.exit->error}, {});
    case SandboxState::kUnknown:
      return done({ErrorCode::kUnconfirmed, sandbox->info.message}, {});
  }
}

void Sandboxes::SendOrQueue(Sandbox& sandbox, const Control& control) {
  if (!sandbox.pidfd.valid() && sandbox.adopted) {
    sandbox.controls.push_back(control);
    return;
  }
  // A child of ours keeps its pid until we reap it.
  if (!sandbox.pidfd.valid()) {
    sandbox.pidfd.Reset(base::PidfdOpen(static_cast<pid_t>(sandbox.info.supervisor_pid)));
  }
  const int error = SendControl(sandbox.pidfd.get(), control);
  // One that somebody has stopped could not do its duty.
  base::PidfdSignal(sandbox.pidfd.get(), SIGCONT);
  if (control.mode != SignalMode::kSend) {
    const uint64_t grace_ns = control.mode == SignalMode::kStop ? control.grace_ms * 1'000'000 : 0;
    PressLater(sandbox, base::BootNs() + grace_ns + kOwnKillDelayNs);
  }
  if (error == EAGAIN) {
    // No room for another queued signal of this user, for now.
    const std::string id = sandbox.info.id;
    loop_.At(base::BootNs() + kControlRetryNs, [this, id, control] {
      Sandbox* again = Find(id);
      if (again != nullptr && again->info.state != SandboxState::kEnded) {
        SendOrQueue(*again, control);
      }
    });
    return;
  }
  // ESRCH: it is gone, which is noticed by itself.
  if (error != 0 && error != ESRCH) {
    journal_.Line("control failed",
                  "sandbox=" + sandbox.info.id + " error=" + std::strerror(error));
  }
}

void Sandboxes::OnNotices() {
  char buffer[64 * 1024];
  for (;;) {
    const ssize_t got = read(notices_.get(), buffer, sizeof(buffer));
    if (got <= 0) break;
    notices_buffer_.append(buffer, static_cast<size_t>(got));
  }
  Notice notice;
  while (TakeNotice(&notices_buffer_, &notice)) {
    Sandbox* sandbox = Find(notice.sandbox_id);
    if (sandbox == nullptr || sandbox->info.state == SandboxState::kEnded) continue;
    PidRecord pid;
    ExitRecord exit;
    if (notice.kind == NoticeKind::kStarted && DecodeRecord(notice.record, &pid)) {
      OnStarted(*sandbox, pid);
    } else if (notice.kind == NoticeKind::kExited && DecodeRecord(notice.record, &exit)) {
      End(*sandbox, exit, /*write=*/false);
    }
  }
}

void Sandboxes::OnStarted(Sandbox& sandbox, const PidRecord& record) {
  base::Failpoint("launcher.start.noticed");
  TakePid(sandbox, record);
  for (const auto& [done, repeated] : std::exchange(sandbox.starts, {})) {
    done({}, {.repeated = repeated, .info = sandbox.info});
  }
  listener_(MessageType::kStartedEvent, sandbox.info);
}

Sandboxes::Counts Sandboxes::counts() const {
  Counts counts;
  for (const auto& [id, sandbox] : sandboxes_) {
    switch (sandbox.info.state) {
      case SandboxState::kCreated:
        ++counts.created;
        break;
      case SandboxState::kStarting:
      case SandboxState::kRunning:
        ++counts.running;
        break;
      case SandboxState::kEnded:
        ++counts.ended;
        break;
      case SandboxState::kUnknown:
        ++counts.unknown;
        break;
    }
  }
  return counts;
}

}  // namespace boxkeeper::launcher
