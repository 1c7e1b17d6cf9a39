#include "launcher/server.h"

#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/file.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <vector>

#include "base/core/proc.h"
#include "launcher/cgroup/delegation.h"
#include "launcher/cgroup/layout.h"
#include "launcher/limiter.h"

namespace boxkeeper::launcher {
namespace {

constexpr char kSocket[] = "launch.sock";
constexpr char kLockFile[] = "lock";
constexpr mode_t kPassThrough = 0711;
constexpr int kBacklog = 128;
constexpr size_t kClientsMax = 64;
// A launcher that is just leaving gives the lock free within this time.
constexpr int kLockTries = 100;
constexpr timespec kLockPause{.tv_sec = 0, .tv_nsec = 10'000'000};
// After accept(2) has failed for want of descriptors.
constexpr uint64_t kAcceptPauseNs = 100'000'000;

std::string Text(const std::string& what) { return what + ": " + std::strerror(errno); }

bool SameDirectory(const std::string& a, const std::string& b) {
  struct stat a_status{}, b_status{};
  return stat(a.c_str(), &a_status) == 0 && stat(b.c_str(), &b_status) == 0 &&
         a_status.st_dev == b_status.st_dev && a_status.st_ino == b_status.st_ino;
}

}  // namespace

Server::Server(Options options)
    : options_(std::move(options)), boot_id_(base::BootId()), started_ns_(base::BootNs()) {}

Server::Ended Server::Run(std::string* error) {
  if (!loop_.valid() || boot_id_.empty()) {
    *error = boot_id_.empty() ? "no /proc: a launcher cannot work without it" : Text("epoll");
    return Ended::kFailed;
  }
  bool other_serves = false;
  if (!Lock(&other_serves, error)) return other_serves ? Ended::kOtherServes : Ended::kFailed;
  journal_.Open(directory_.get());
  journal_.Line("start", std::string("version=") + kLauncherVersion);
  Sandboxes::Options options;
  options.launch_directory.Reset(fcntl(directory_.get(), F_DUPFD_CLOEXEC, 0));
  options.launch_path = LaunchDirectory(options_.state_dir);
  options.boot_id = boot_id_;
  options.open_files = options_.open_files;
  options.reset_oom_score_adj = options_.reset_oom_score_adj;
  FindAbilities(&options);
  if (!FindAccount("", &options.self, error)) return Ended::kFailed;
  sandboxes_ = std::make_unique<Sandboxes>(
      loop_, journal_, std::move(options), [this](MessageType type, const SandboxInfo& info) {
        const std::string frame = type == MessageType::kStartedEvent
                                      ? EventFrame(StartedEvent{info})
                                      : EventFrame(ExitedEvent{info});
        for (auto& [id, client] : clients_) {
          if (client.said_hello()) client.SendHint(frame);
        }
      });
  if (!WatchSignals(error) || !sandboxes_->Load(error) || !Listen(error)) {
    journal_.Line("failed", "error=" + *error);
    return Ended::kFailed;
  }
  const Sandboxes::Counts taken_over = sandboxes_->counts();
  if (taken_over.running + taken_over.unknown == 0) isolation_.RemoveOldFiles();
  while (!stopping_) {
    ConsiderIdle();
    loop_.RunOnce();
    Settle();
  }
  unlinkat(directory_.get(), kSocket, 0);
  if (options_.own_cgroup) ReturnToServiceGroup(DetectCgroups(), Tag());
  journal_.Line("end");
  return Ended::kDone;
}

// Several launchers may have their groups side by side.
std::string Server::Tag() const {
  struct stat status{};
  fstat(directory_.get(), &status);
  return std::to_string(status.st_dev) + "-" + std::to_string(status.st_ino);
}

void Server::FindAbilities(Sandboxes::Options* options) {
  if (options_.own_cgroup) LeaveServiceGroup(DetectCgroups(), getppid(), Tag());
  options->cgroups = DelegateUnified(getppid());
  DescribeLimits(options->cgroups, &abilities_);
  isolation_.Prepare(options->launch_path, directory_.get());
  options->isolation = &isolation_;
  abilities_.bubblewrap = isolation_.ability();
  if (abilities_.bubblewrap.can()) {
    abilities_.disk.how = "tmpfs";
  } else {
    abilities_.disk.why_not = "it needs isolation: " + abilities_.bubblewrap.why_not;
  }
  options->group_prefix = "boxkeeper-" + Tag() + "-";
  LogAbilities();
}

// One line each: for people who want to know what their host lacks.
void Server::LogAbilities() {
  const std::pair<const char*, const Ability&> all[] = {{"bubblewrap", abilities_.bubblewrap},
                                                        {"cpu", abilities_.cpu},
                                                        {"memory", abilities_.memory},
                                                        {"pids", abilities_.pids},
                                                        {"disk", abilities_.disk}};
  for (const auto& [name, ability] : all) {
    std::string line = name;
    line.append("=").append(ability.can() ? ability.how : "none");
    if (!ability.why_not.empty()) line.append(" because=").append(ability.why_not);
    journal_.Line("ability", line);
  }
}

bool Server::Lock(bool* other_serves, std::string* error) {
  const std::string path = LaunchDirectory(options_.state_dir);
  if (mkdir(path.c_str(), kPassThrough) == 0 || errno == EEXIST) {
    directory_.Reset(open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  }
  if (directory_.valid()) {
    // Whoever has made it: commands of other users pass through.
    fchmod(directory_.get(), kPassThrough);
    lock_.Reset(openat(directory_.get(), kLockFile, O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  }
  if (!lock_.valid()) {
    *error = Text(path);
    return false;
  }
  for (int i = 0; i < kLockTries; ++i) {
    if (flock(lock_.get(), LOCK_EX | LOCK_NB) == 0) return true;
    if (errno != EWOULDBLOCK) break;
    nanosleep(&kLockPause, nullptr);
  }
  *other_serves = errno == EWOULDBLOCK;
  *error = Text("lock");
  return false;
}

bool Server::Listen(std::string* error) {
  // We hold the lock, so a socket that is there has nobody behind it.
  unlinkat(directory_.get(), kSocket, 0);
  listener_.Reset(socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  // By the descriptor, because a state directory may be longer than an address (107 bytes).
  const std::string path =
      "/proc/self/fd/" + std::to_string(directory_.get()) + "/" + std::string(kSocket);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
  // With main()'s umask nobody else can write to it, so nobody else connects before the chmod.
  const bool listening =
      listener_.valid() &&
      bind(listener_.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address)) == 0 &&
      fchmodat(directory_.get(), kSocket, 0600, 0) == 0 && listen(listener_.get(), kBacklog) == 0 &&
      loop_.Add(listener_.get(), EPOLLIN, [this](uint32_t) { OnConnectable(); }) == 0;
  if (!listening) *error = Text("listen on launch.sock");
  return listening;
}

bool Server::WatchSignals(std::string* error) {
  sigset_t wanted;
  sigemptyset(&wanted);
  sigaddset(&wanted, SIGCHLD);
  sigaddset(&wanted, SIGTERM);
  sigaddset(&wanted, SIGINT);
  signals_.Reset(signalfd(-1, &wanted, SFD_CLOEXEC | SFD_NONBLOCK));
  const auto on_signal = [this](uint32_t) {
    signalfd_siginfo info{};
    while (read(signals_.get(), &info, sizeof(info)) == sizeof(info)) {
      if (info.ssi_signo != SIGCHLD) stopping_ = true;
    }
    sandboxes_->Reap();
  };
  if (signals_.valid() && loop_.Add(signals_.get(), EPOLLIN, on_signal) == 0) return true;
  *error = Text("signalfd");
  return false;
}

void Server::OnConnectable() {
  while (AcceptOne()) {
  }
}

bool Server::AcceptOne() {
  base::UniqueFd socket(accept4(listener_.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
  if (!socket.valid()) {
    if (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS) {
      // Level-triggered, it would spin: pause instead.
      loop_.Remove(listener_.get());
      loop_.At(base::BootNs() + kAcceptPauseNs, [this] {
        loop_.Add(listener_.get(), EPOLLIN, [this](uint32_t) { OnConnectable(); });
      });
      journal_.Line("accept paused", std::string("error=") + std::strerror(errno));
    }
    return false;
  }
  ucred peer{};
  socklen_t length = sizeof(peer);
  const bool known = getsockopt(socket.get(), SOL_SOCKET, SO_PEERCRED, &peer, &length) == 0;
  if (!known || (peer.uid != geteuid() && peer.uid != 0) || clients_.size() >= kClientsMax) {
    journal_.Line("refused", "uid=" + std::to_string(peer.uid));
    return true;
  }
  const uint64_t id = next_client_++;
  const int fd = socket.get();
  clients_.try_emplace(id, std::move(socket), peer.pid);
  if (loop_.Add(fd, EPOLLIN, [this, id](uint32_t events) { OnClient(id, events); }) != 0) {
    clients_.erase(id);
  }
  return true;
}

void Server::OnClient(uint64_t id, uint32_t events) {
  const auto found = clients_.find(id);
  if (found == clients_.end()) return;
  Connection& client = found->second;
  if ((events & ~static_cast<uint32_t>(EPOLLOUT)) == 0) return;
  if (!client.Receive([this, id](const Frame& frame) { Dispatch(id, frame); })) Close(id);
}

void Server::Close(uint64_t id) {
  const auto found = clients_.find(id);
  loop_.Remove(found->second.fd());
  clients_.erase(found);
}

void Server::Settle() {
  std::vector<uint64_t> broken;
  for (auto& [id, client] : clients_) {
    // Once for all that this turn of the loop has to say.
    client.Flush();
    if (client.broken()) broken.push_back(id);
    const uint32_t wanted = client.wants_write() ? EPOLLIN | EPOLLOUT : EPOLLIN;
    if (client.SetWatched(wanted)) loop_.Modify(client.fd(), wanted);
  }
  for (const uint64_t id : broken) Close(id);
}

void Server::ConsiderIdle() {
  const bool idle = clients_.empty() && !sandboxes_->busy();
  if (idle && idle_timer_ == 0) {
    idle_timer_ = loop_.At(base::BootNs() + options_.idle_exit_ns, [this] { OnIdle(); });
  } else if (!idle && idle_timer_ != 0) {
    loop_.Cancel(idle_timer_);
    idle_timer_ = 0;
  }
}

// Nobody can find the socket once its name is gone; who has found it before is in the backlog now.
// (Who is between the two gets an error from connect, or the end of the stream, and comes again.)
void Server::OnIdle() {
  idle_timer_ = 0;
  unlinkat(directory_.get(), kSocket, 0);
  OnConnectable();
  if (clients_.empty()) {
    stopping_ = true;
    return;
  }
  loop_.Remove(listener_.get());
  std::string error;
  if (!Listen(&error)) {
    journal_.Line("failed", "error=" + error);
    stopping_ = true;
  }
}

template <typename Request, typename Handler>
void Server::Decoded(uint64_t id, const Frame& frame, Handler handle) {
  Request request;
  if (Decode(frame.payload, &request)) {
    handle(request);
  } else {
    Reply(id, ErrorFrame(frame.type, frame.request_id, ErrorCode::kInvalid, "malformed request"));
  }
}

// By the client's id: it may have gone by the time of the answer.
template <typename R>
Done<R> Server::Replier(uint64_t id, const Frame& frame) {
  return [this, id, type = frame.type, request_id = frame.request_id](const Failure& failure,
                                                                      const R& reply) {
    Reply(id, failure.code == ErrorCode::kOk
                  ? ReplyFrame(request_id, reply)
                  : ErrorFrame(type, request_id, failure.code, failure.message));
  };
}

void Server::Reply(uint64_t id, const std::string& frame) {
  const auto found = clients_.find(id);
  if (found != clients_.end()) found->second.Send(frame);
}

void Server::Dispatch(uint64_t id, const Frame& frame) {
  Connection& client = clients_.at(id);
  if (frame.Is(MessageType::kHello)) return Hello(id, frame);
  if (!client.said_hello()) {
    return Reply(id, ErrorFrame(frame.type, frame.request_id, ErrorCode::kFailedPrecondition,
                                "Hello comes first"));
  }
  switch (static_cast<MessageType>(frame.type)) {
    case MessageType::kCreate:
      return Decoded<CreateRequest>(id, frame, [&](const CreateRequest& request) {
        CreateReply reply;
        const Failure failure = sandboxes_->Create(request, &reply);
        Replier<CreateReply>(id, frame)(failure, reply);
      });
    case MessageType::kStart:
      return Decoded<StartRequest>(id, frame, [&](const StartRequest& request) {
        base::UniqueFd memfd;
        if (request.has_memfd) memfd = client.TakeDescriptor();
        sandboxes_->Start(request, std::move(memfd), Replier<StartReply>(id, frame));
      });
    case MessageType::kSignal:
      return Decoded<SignalRequest>(id, frame, [&](const SignalRequest& request) {
        SignalReply reply;
        const Failure failure = sandboxes_->Signal(request, &reply);
        Replier<SignalReply>(id, frame)(failure, reply);
      });
    case MessageType::kDestroy:
      return Decoded<DestroyRequest>(id, frame, [&](const DestroyRequest& request) {
        sandboxes_->Destroy(request, Replier<DestroyReply>(id, frame));
      });
    case MessageType::kInspect:
      return Decoded<InspectRequest>(id, frame, [&](const InspectRequest& request) {
        InspectReply reply;
        const Failure failure = sandboxes_->Inspect(request, &reply);
        Replier<InspectReply>(id, frame)(failure, reply);
      });
    case MessageType::kList:
      return Decoded<ListRequest>(id, frame, [&](const ListRequest& request) {
        Replier<ListReply>(id, frame)({}, sandboxes_->List(request));
      });
    case MessageType::kFence:
      return Decoded<FenceRequest>(id, frame, [&](const FenceRequest& request) {
        sandboxes_->Fence(request, Replier<FenceReply>(id, frame));
      });
    case MessageType::kStatus:
      return Replier<StatusReply>(id, frame)({}, Status(client.peer()));
    default:
      return Reply(id, ErrorFrame(frame.type, frame.request_id, ErrorCode::kUnsupported,
                                  "unknown request type"));
  }
}

void Server::Hello(uint64_t id, const Frame& frame) {
  Decoded<HelloRequest>(id, frame, [&](const HelloRequest& request) {
    Connection& client = clients_.at(id);
    const auto refuse = [&](ErrorCode code, const std::string& why) {
      Reply(id, ErrorFrame(frame.type, frame.request_id, code, why));
    };
    if (request.protocol_version == 0) {
      return refuse(ErrorCode::kInvalid, "no protocol version");
    }
    if (!SameDirectory(request.state_dir, options_.state_dir)) {
      return refuse(ErrorCode::kFailedPrecondition,
                    "this launcher serves the state directory " + options_.state_dir);
    }
    if (!request.boot_id.empty() && request.boot_id != boot_id_) {
      return refuse(ErrorCode::kFailedPrecondition, "the client is of another boot");
    }
    client.set_said_hello();
    Reply(id, ReplyFrame(frame.request_id, Describe(client.peer())));
  });
}

HelloReply Server::Describe(pid_t peer) const {
  HelloReply reply;
  reply.protocol_version = kProtocolVersion;
  reply.launcher_version = kLauncherVersion;
  reply.pid = static_cast<uint32_t>(getpid());
  reply.boot_id = boot_id_;
  reply.cgroup = base::ServiceCgroup(getpid());
  reply.abilities = abilities_;
  reply.shares_cgroup_with_peer = SharesService(reply.cgroup, base::ServiceCgroup(peer));
  return reply;
}

StatusReply Server::Status(pid_t peer) const {
  const Sandboxes::Counts counts = sandboxes_->counts();
  StatusReply reply;
  reply.launcher = Describe(peer);
  reply.uptime_ms = (base::BootNs() - started_ns_) / 1'000'000;
  reply.clients = static_cast<uint32_t>(clients_.size());
  reply.created = counts.created;
  reply.running = counts.running;
  reply.ended = counts.ended;
  reply.unknown = counts.unknown;
  return reply;
}

}  // namespace boxkeeper::launcher
