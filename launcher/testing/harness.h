// A real boxlaunch for tests, with a synchronous client.
#pragma once

#include <sys/types.h>

#include <deque>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/core/unique_fd.h"
#include "launcher/launch_spec.h"
#include "launcher/protocol.h"

namespace boxkeeper::launcher {

// A connection that waits for each reply. Events that come meanwhile are kept for NextEvent.
class TestClient {
 public:
  // Connects (retrying until the launcher listens) and says Hello.
  explicit TestClient(const std::string& state_dir, bool hello = true);

  template <typename Reply, typename Request>
  Reply Call(const Request& request, int memfd = -1) {
    Reply reply;
    Decode(Exchange(static_cast<uint16_t>(Request::kType), Encode(request), memfd), &reply);
    return reply;
  }
  // Like Call, where an error is expected or possible.
  template <typename Request>
  ReplyError CallForError(const Request& request, int memfd = -1) {
    return DecodeError(
        Exchange(static_cast<uint16_t>(Request::kType), Encode(request), memfd, true));
  }
  // Sends without waiting.
  template <typename Request>
  void Post(const Request& request, int memfd = -1) {
    Send(RequestFrame(next_id_++, request), memfd);
  }
  // The payload of the reply to a raw request; fails the test for an error unless allowed.
  std::string Exchange(uint16_t type, const std::string& payload, int memfd,
                       bool error_allowed = false);
  void Send(const std::string& bytes, int memfd = -1);
  // Waits for that many replies, whatever they say.
  void AwaitReplies(size_t count);
  // Waits for the next pushed event of that type about that sandbox.
  SandboxInfo NextEvent(MessageType type, const std::string& id);
  // Waits until the launcher closes the connection.
  void WaitForClose();

  const HelloReply& hello() const { return hello_; }

 private:
  bool SayHello(const std::string& state_dir);
  // Reads one frame; false at the end of the stream.
  bool Read(Frame* frame);

  base::UniqueFd socket_;
  FrameParser parser_;
  uint64_t next_id_ = 1;
  std::deque<std::pair<uint16_t, SandboxInfo>> events_;
  HelloReply hello_;
};

// A temporary state directory and a launcher on it. This process becomes the subreaper of all that
// is started, and the destructor kills every descendant, whatever the test did.
class Harness {
 public:
  explicit Harness(const std::string& directory_suffix = "");
  ~Harness();

  // `prefix`: a program with its first arguments that execs the launcher.
  void StartLauncher(const std::vector<std::string>& flags = {},
                     const std::vector<std::string>& prefix = {});
  void KillLauncher();  // SIGKILL, and waits until it is gone
  pid_t launcher_pid() const { return launcher_; }
  // Waits for the launcher to end by itself; its wait status.
  int WaitForLauncher();

  // A client made at first use; Reconnect after a restart.
  TestClient& client();
  void Reconnect() { client_.reset(); }

  // A spec with spool paths for `id` and a short grace.
  LaunchSpec Spec(const std::string& id, const Command& command) const;
  LaunchSpec Shell(const std::string& id, const std::string& script) const;
  // Create and Start.
  SandboxInfo Run(const std::string& id, const LaunchSpec& spec);
  // Waits for the end of a started sandbox.
  ExitRecord WaitForEnd(const std::string& id);
  ExitRecord RunToEnd(const std::string& id, const LaunchSpec& spec);
  std::string Stdout(const std::string& id) const;
  std::string Stderr(const std::string& id) const;
  SandboxInfo Inspect(const std::string& id);

  const std::string& state_dir() const { return state_dir_; }
  std::string SandboxPath(const std::string& id) const {
    return state_dir_ + "/launch/sandboxes/" + id;
  }

 private:
  std::string root_;
  std::string state_dir_;
  pid_t launcher_ = -1;
  std::optional<TestClient> client_;
};

std::string ReadFileOrEmpty(const std::string& path);
// Polls until `condition` holds; fails the test (and returns false) after a minute.
bool WaitUntil(const std::function<bool()>& condition);
bool ProcessIsGone(pid_t pid);
// The path of the boxlaunch under test.
std::string LauncherBinary();

}  // namespace boxkeeper::launcher
