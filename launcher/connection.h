// One client of the launcher's socket.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <deque>
#include <functional>
#include <string>
#include <utility>

#include "base/core/unique_fd.h"
#include "launcher/protocol.h"

namespace boxkeeper::launcher {

// Buffers of a connected, non-blocking stream socket: whole frames in, frames out, descriptors that
// came along. Bounded in both directions. The owner watches the socket and calls.
class Connection {
 public:
  // `peer` as SO_PEERCRED has it.
  Connection(base::UniqueFd socket, pid_t peer);

  using OnFrame = std::function<void(const Frame&)>;
  // Reads once and hands over each whole frame. False when the client is gone or misbehaves.
  // `on_frame` must not destroy this object; it may Send.
  bool Receive(const OnFrame& on_frame);
  // The oldest descriptor that has not been taken; invalid when there is none.
  base::UniqueFd TakeDescriptor();

  // Queues for the next Flush. A client that lets its replies pile up is marked broken.
  void Send(std::string_view frame);
  // The same for what may be skipped when the client is behind.
  void SendHint(std::string_view frame);
  // Writes what the socket takes.
  void Flush();

  int fd() const { return socket_.get(); }
  pid_t peer() const { return peer_; }
  bool broken() const { return broken_; }
  bool wants_write() const { return !out_.empty(); }
  // What the owner's watch waits for; true if `wanted` is new.
  bool SetWatched(uint32_t wanted) { return std::exchange(watched_, wanted) != wanted; }
  bool said_hello() const { return said_hello_; }
  void set_said_hello() { said_hello_ = true; }

 private:
  base::UniqueFd socket_;
  const pid_t peer_;
  FrameParser parser_;
  std::deque<base::UniqueFd> descriptors_;
  std::string out_;
  uint32_t watched_ = 0;
  bool broken_ = false;
  bool said_hello_ = false;
};

}  // namespace boxkeeper::launcher
