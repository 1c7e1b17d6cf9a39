// Accepts connections for gRPC, whose own listener (1.51) never accepts again once the process was
// without descriptors for a moment.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/core/unique_fd.h"
#include "daemon/service/listener.h"

namespace boxkeeper::daemon {

// One thread that waits for connections at some addresses and gives each away. Near the process's
// limit of descriptors (RLIMIT_NOFILE) connections are closed as they come, so that what is left
// serves the tasks; without any it pauses, and goes on when there are some again.
//
//   Acceptor acceptor;
//   ASSIGN_OR_RETURN(uint16_t port, acceptor.Listen(address, take));
//   acceptor.Start();
class Acceptor {
 public:
  // Takes over `connection`; on the acceptor's thread.
  using Take = std::function<void(int listener, int connection)>;

  Acceptor();
  ~Acceptor();
  Acceptor(const Acceptor&) = delete;
  Acceptor& operator=(const Acceptor&) = delete;

  // Binds and listens, before Start; the port in use, 0 for a unix socket (mode 0600). A name
  // stands for all its addresses. kFailedPrecondition: why it cannot.
  absl::StatusOr<uint16_t> Listen(const ListenAddress& address, Take take);
  void Start();
  // No connection is taken any more; unix sockets are removed. Idempotent; blocks shortly.
  void Stop();

 private:
  struct Listener {
    base::UniqueFd socket;
    std::shared_ptr<const Take> take;
  };

  absl::Status ListenUnix(const std::string& path, std::shared_ptr<const Take> take);
  void Run();
  // False: no descriptors; take a breath.
  bool AcceptSome(const Listener& listener);
  void Complain(const std::string& why);

  std::vector<Listener> listeners_;
  std::vector<std::string> unix_paths_;
  base::UniqueFd wake_;  // readable: stop
  bool complained_ = false;
  std::thread thread_;
};

}  // namespace boxkeeper::daemon
