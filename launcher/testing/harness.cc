#include "launcher/testing/harness.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <thread>

#include "base/core/proc.h"
#include "launcher/process_tree.h"

namespace boxkeeper::launcher {
namespace {

constexpr std::chrono::seconds kPatience(60);
constexpr std::chrono::milliseconds kPollPause(2);

void Expire(const std::string& what) {
  // The tests cannot go on without the launcher's answer, and the destructors must still run.
  throw std::runtime_error(what);
}

}  // namespace

bool WaitUntil(const std::function<bool()>& condition) {
  const auto deadline = std::chrono::steady_clock::now() + kPatience;
  while (!condition()) {
    if (std::chrono::steady_clock::now() > deadline) {
      ADD_FAILURE() << "the condition did not come true in time";
      return false;
    }
    std::this_thread::sleep_for(kPollPause);
  }
  return true;
}

std::string ReadFileOrEmpty(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::stringstream content;
  content << file.rdbuf();
  return content.str();
}

bool ProcessIsGone(pid_t pid) {
  const auto stat = base::ReadProcStat(pid);
  return !stat || stat->state == 'Z';
}

std::string LauncherBinary() { return std::filesystem::absolute("launcher/boxlaunch").string(); }

TestClient::TestClient(const std::string& state_dir, bool hello) {
  WaitUntil([&] {
    socket_.Reset(ConnectToLauncher(state_dir));
    return socket_.valid() && (!hello || SayHello(state_dir));
  });
}

// False when the connection ends first: it was to a launcher that has died, whose socket a fresh
// fork of it still had for a moment.
bool TestClient::SayHello(const std::string& state_dir) {
  parser_ = {};
  Send(RequestFrame(next_id_++, HelloRequest{kProtocolVersion, state_dir, base::BootId()}));
  Frame frame;
  if (!Read(&frame)) return false;
  const ReplyError error = DecodeError(frame.payload);
  EXPECT_EQ(error.code, ErrorCode::kOk) << error.message;
  return Decode(frame.payload, &hello_);
}

void TestClient::Send(const std::string& bytes, int memfd) {
  std::string_view left = bytes;
  while (!left.empty()) {
    iovec part{.iov_base = const_cast<char*>(left.data()), .iov_len = left.size()};
    msghdr message{};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))];
    if (memfd >= 0) {
      message.msg_control = control;
      message.msg_controllen = sizeof(control);
      cmsghdr* header = CMSG_FIRSTHDR(&message);
      header->cmsg_level = SOL_SOCKET;
      header->cmsg_type = SCM_RIGHTS;
      header->cmsg_len = CMSG_LEN(sizeof(int));
      std::memcpy(CMSG_DATA(header), &memfd, sizeof(memfd));
    }
    const ssize_t sent = sendmsg(socket_.get(), &message, MSG_NOSIGNAL);
    if (sent < 0 && errno == EAGAIN) {
      pollfd wait{.fd = socket_.get(), .events = POLLOUT, .revents = 0};
      poll(&wait, 1, 1000);
      continue;
    }
    if (sent < 0) return;  // the next read reports it
    memfd = -1;
    left.remove_prefix(static_cast<size_t>(sent));
  }
}

bool TestClient::Read(Frame* frame) {
  const auto deadline = std::chrono::steady_clock::now() + kPatience;
  while (parser_.Next(frame) != FrameParser::Result::kFrame) {
    if (std::chrono::steady_clock::now() > deadline) Expire("no frame from the launcher in time");
    char buffer[4096];
    const ssize_t got = recv(socket_.get(), buffer, sizeof(buffer), 0);
    if (got == 0 || (got < 0 && errno != EAGAIN)) return false;
    if (got > 0) {
      parser_.Append({buffer, static_cast<size_t>(got)});
      continue;
    }
    pollfd wait{.fd = socket_.get(), .events = POLLIN, .revents = 0};
    poll(&wait, 1, 1000);
  }
  if (!frame->is_reply()) {
    ExitedEvent event;
    Decode(frame->payload, &event);
    events_.emplace_back(frame->type, event.info);
  }
  return true;
}

std::string TestClient::Exchange(uint16_t type, const std::string& payload, int memfd,
                                 bool error_allowed) {
  const uint64_t id = next_id_++;
  Send(EncodeFrame(type, id, payload), memfd);
  Frame frame;
  while (Read(&frame)) {
    if (!frame.is_reply() || frame.request_id != id) continue;
    const ReplyError error = DecodeError(frame.payload);
    EXPECT_TRUE(error_allowed || error.code == ErrorCode::kOk)
        << "request " << type << ": " << error.message;
    return std::string(frame.payload);
  }
  Expire("the launcher closed the connection");
  return {};
}

void TestClient::AwaitReplies(size_t count) {
  Frame frame;
  while (count > 0 && Read(&frame)) {
    if (frame.is_reply()) --count;
  }
}

SandboxInfo TestClient::NextEvent(MessageType type, const std::string& id) {
  for (;;) {
    while (!events_.empty()) {
      auto [event_type, info] = events_.front();
      events_.pop_front();
      if (event_type == static_cast<uint16_t>(type) && info.id == id) return info;
    }
    Frame frame;
    if (!Read(&frame)) Expire("the launcher closed the connection");
  }
}

void TestClient::WaitForClose() {
  Frame frame;
  while (Read(&frame)) {
  }
}

Harness::Harness(const std::string& directory_suffix) {
  prctl(PR_SET_CHILD_SUBREAPER, 1);
  const char* base = getenv("TEST_TMPDIR");
  root_ = std::string(base != nullptr ? base : "/tmp") + "/boxlaunch_XXXXXX";
  if (mkdtemp(root_.data()) == nullptr) Expire("mkdtemp");
  state_dir_ = root_ + "/state" + directory_suffix;
  std::filesystem::create_directories(state_dir_);
  std::filesystem::create_directories(root_ + "/spool");
}

Harness::~Harness() {
  client_.reset();
  // Orphans become children of this process; when it has none, nothing is left.
  const auto deadline = std::chrono::steady_clock::now() + kPatience;
  for (;;) {
    KillDescendants();
    pid_t reaped;
    while ((reaped = waitpid(-1, nullptr, WNOHANG)) > 0) {
    }
    if (reaped < 0 && errno == ECHILD) break;
    if (std::chrono::steady_clock::now() > deadline) {
      ADD_FAILURE() << "processes of the test cannot be killed";
      break;
    }
    std::this_thread::sleep_for(kPollPause);
  }
  std::error_code ignored;
  std::filesystem::remove_all(root_, ignored);
}

void Harness::StartLauncher(const std::vector<std::string>& flags,
                            const std::vector<std::string>& prefix) {
  std::vector<std::string> arguments = prefix;
  arguments.insert(arguments.end(), {LauncherBinary(), "--state_dir", state_dir_});
  arguments.insert(arguments.end(), flags.begin(), flags.end());
  std::vector<char*> argv;
  for (std::string& argument : arguments) argv.push_back(argument.data());
  argv.push_back(nullptr);
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSID);
  const int error = posix_spawn(&launcher_, argv[0], nullptr, &attributes, argv.data(), environ);
  posix_spawnattr_destroy(&attributes);
  if (error != 0) Expire(std::string("spawn boxlaunch: ") + std::strerror(error));
}

void Harness::KillLauncher() {
  kill(launcher_, SIGKILL);
  WaitForLauncher();
  client_.reset();
}

int Harness::WaitForLauncher() {
  int status = 0;
  waitpid(launcher_, &status, 0);
  launcher_ = -1;
  return status;
}

TestClient& Harness::client() {
  if (!client_) client_.emplace(state_dir_);
  return *client_;
}

LaunchSpec Harness::Spec(const std::string& id, const Command& command) const {
  LaunchSpec spec;
  spec.command = command;
  spec.stdout_path = root_ + "/spool/" + id + ".stdout";
  spec.stderr_path = root_ + "/spool/" + id + ".stderr";
  spec.index_path = root_ + "/spool/" + id + ".index";
  spec.grace_ms = 300;
  return spec;
}

LaunchSpec Harness::Shell(const std::string& id, const std::string& script) const {
  return Spec(id, {.kind = CommandKind::kShell, .argv = {}, .text = script, .lang = {}});
}

SandboxInfo Harness::Run(const std::string& id, const LaunchSpec& spec) {
  client().Call<CreateReply>(CreateRequest{id, "name-" + id, "labels"});
  const base::UniqueFd memfd = MakeSealedMemfd(EncodeLaunchSpec(spec));
  return client().Call<StartReply>(StartRequest{id, "exec-" + id}, memfd.get()).info;
}

ExitRecord Harness::WaitForEnd(const std::string& id) {
  SandboxInfo info;
  WaitUntil([&] {
    info = Inspect(id);
    return info.state == SandboxState::kEnded;
  });
  return info.exit.value_or(ExitRecord{});
}

ExitRecord Harness::RunToEnd(const std::string& id, const LaunchSpec& spec) {
  const SandboxInfo info = Run(id, spec);
  if (info.exit) return *info.exit;
  return client().NextEvent(MessageType::kExitedEvent, id).exit.value_or(ExitRecord{});
}

std::string Harness::Stdout(const std::string& id) const {
  return ReadFileOrEmpty(root_ + "/spool/" + id + ".stdout");
}

std::string Harness::Stderr(const std::string& id) const {
  return ReadFileOrEmpty(root_ + "/spool/" + id + ".stderr");
}

SandboxInfo Harness::Inspect(const std::string& id) {
  return client().Call<InspectReply>(InspectRequest{id}).info;
}

}  // namespace boxkeeper::launcher
