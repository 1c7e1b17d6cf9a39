// The launcher's socket: who may talk to it, and for how long it stays.
#pragma once

#include <csignal>
#include <map>
#include <memory>
#include <string>

#include "base/core/unique_fd.h"
#include "launcher/connection.h"
#include "launcher/event_loop.h"
#include "launcher/isolation/host.h"
#include "launcher/journal.h"
#include "launcher/protocol.h"
#include "launcher/sandboxes.h"

namespace boxkeeper::launcher {

inline constexpr char kLauncherVersion[] = "0.1.0";

// Serves one state directory until it has been idle for long enough or gets SIGTERM. One thread.
class Server {
 public:
  struct Options {
    std::string state_dir;      // absolute
    uint64_t idle_exit_ns = 0;  // without client and supervisor
    rlimit open_files{};        // for commands
    bool reset_oom_score_adj = false;
    bool own_cgroup = false;  // leave those of the process that has started us
  };

  explicit Server(Options options);

  // What a process of this state directory ends with.
  enum class Ended { kDone, kOtherServes, kFailed };
  // Takes the lock, loads, serves. `error` is set for kFailed.
  Ended Run(std::string* error);

 private:
  bool Lock(bool* other_serves, std::string* error);
  bool Listen(std::string* error);
  bool WatchSignals(std::string* error);
  void OnConnectable();
  bool AcceptOne();
  void OnClient(uint64_t id, uint32_t events);
  void Close(uint64_t id);
  // At the end of a turn: sends, closes who is broken, watches for room where there is none.
  void Settle();
  void ConsiderIdle();
  void OnIdle();

  void Dispatch(uint64_t id, const Frame& frame);
  void Hello(uint64_t id, const Frame& frame);
  void Reply(uint64_t id, const std::string& frame);
  template <typename Request, typename Handler>
  void Decoded(uint64_t id, const Frame& frame, Handler handle);
  template <typename R>
  Done<R> Replier(uint64_t id, const Frame& frame);
  std::string Tag() const;
  void FindAbilities(Sandboxes::Options* options);
  void LogAbilities();
  HelloReply Describe(pid_t peer) const;
  StatusReply Status(pid_t peer) const;

  const Options options_;
  const std::string boot_id_;
  IsolationHost isolation_;
  Abilities abilities_;
  const uint64_t started_ns_;
  EventLoop loop_;
  Journal journal_;
  base::UniqueFd directory_;  // <state_dir>/launch
  base::UniqueFd lock_;
  base::UniqueFd signals_;
  base::UniqueFd listener_;
  std::unique_ptr<Sandboxes> sandboxes_;
  std::map<uint64_t, Connection> clients_;
  uint64_t next_client_ = 1;
  EventLoop::TimerId idle_timer_ = 0;
  bool stopping_ = false;
};

}  // namespace boxkeeper::launcher
