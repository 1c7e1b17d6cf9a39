// The daemon's end of the launcher protocol: one connection, many calls in flight, reconnected for
// ever.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/clock.h"
#include "base/core/unique_fd.h"
#include "launcher/protocol.h"

namespace boxkeeper::providers::local {

// Owns the connection and what waits on it. Used on the loop's thread only. When the launcher goes
// away, calls in flight are sent again after the reconnect (every verb of the protocol is
// idempotent), until their deadline. Stopped by Close(); to be closed and let go before the
// executor's context goes.
class LauncherClient : public std::enable_shared_from_this<LauncherClient> {
 public:
  struct Options {
    std::string state_dir;
    // Starts a launcher, because nobody answers. Called again and again until somebody does: it
    // must not start a second one while the first may still come up. An error fails the calls that
    // wait.
    std::function<absl::Status()> start_launcher;
    std::function<void()> connected;                           // after each Hello
    std::function<void(const launcher::SandboxInfo&)> exited;  // pushed; a hint
  };

  LauncherClient(boost::asio::any_io_executor executor, base::Clock& clock, Options options);
  ~LauncherClient();

  // Completes once a launcher has answered Hello. kDeadlineExceeded, or why none can be started or
  // spoken to.
  boost::asio::awaitable<absl::Status> Connect(base::BootTime deadline);

  // One request and its reply. Errors are made by providers::MakeError: the launcher's own, or
  // TRANSIENT, which proves that nothing happened iff the request was never sent; at the deadline
  // kDeadlineExceeded. A cancelled call may still take effect.
  template <typename Reply, typename Request>
  boost::asio::awaitable<absl::StatusOr<Reply>> Call(
      Request request, base::BootTime deadline, std::shared_ptr<base::UniqueFd> memfd = nullptr) {
    const std::string payload = launcher::Encode(request);
    absl::StatusOr<std::string> answer = co_await Exchange(static_cast<uint16_t>(Request::kType),
                                                           payload, std::move(memfd), deadline);
    if (!answer.ok()) co_return answer.status();
    Reply reply;
    if (!launcher::Decode(*answer, &reply)) co_return MalformedReply();
    co_return reply;
  }

  // Of the last Hello; nothing before the first.
  const std::optional<launcher::HelloReply>& hello() const { return hello_; }
  bool connected() const { return state_ == State::kReady; }

  // Ends all calls with kCancelled and disconnects. The launcher lives on.
  void Close();

 private:
  enum class State { kConnecting, kHello, kReady, kClosed };
  struct Answer {
    enum Kind { kReply, kReady, kFailed, kDisconnected, kDeadline, kCancelled };
    Kind kind = kCancelled;
    std::string payload;
    absl::Status status;  // kFailed
  };
  struct Waiter {
    base::BootTime deadline;
    bool for_ready = false;  // else for the reply with its id
    std::function<void(Answer)> complete;
  };
  struct Outgoing {
    std::string bytes;
    size_t sent = 0;
    std::shared_ptr<base::UniqueFd> fd;  // goes with the first byte
  };

  boost::asio::awaitable<absl::StatusOr<std::string>> Exchange(
      uint16_t type, std::string payload, std::shared_ptr<base::UniqueFd> memfd,
      base::BootTime deadline);
  // Waits for the reply to `frame`, which it sends; without a frame for the connection.
  boost::asio::awaitable<Answer> Await(uint64_t id, std::string frame,
                                       std::shared_ptr<base::UniqueFd> fd, base::BootTime deadline);
  void AddWaiter(uint64_t id, Waiter waiter);
  void Complete(uint64_t id, Answer answer);
  void CompleteAll(bool for_ready, const Answer& answer);
  void ArmDeadline();
  void OnDeadline();

  void TryToConnect();
  void RetryLater();
  void SayHello();
  void OnHello(Answer answer);
  void Disconnect();

  void Send(std::string frame, std::shared_ptr<base::UniqueFd> fd);
  void Flush();
  void WaitReadable();
  void Read();
  void Dispatch(const launcher::Frame& frame);

  static absl::Status MalformedReply();

  const boost::asio::any_io_executor executor_;
  base::Clock& clock_;
  const Options options_;
  State state_ = State::kConnecting;
  std::optional<launcher::HelloReply> hello_;
  std::unique_ptr<base::Alarm> retry_alarm_;
  std::chrono::nanoseconds retry_delay_;

  boost::asio::posix::stream_descriptor socket_;
  uint64_t connection_ = 0;  // counts; what was begun on an earlier one is ignored
  launcher::FrameParser parser_;
  std::deque<Outgoing> outgoing_;
  bool waits_writable_ = false;
  std::vector<char> read_buffer_;

  uint64_t next_id_ = 1;
  std::map<uint64_t, Waiter> waiters_;
  std::set<std::pair<base::BootTime, uint64_t>> deadlines_;
  std::unique_ptr<base::Alarm> deadline_alarm_;
  base::BootTime deadline_armed_ = base::BootTime::max();
};

}  // namespace boxkeeper::providers::local
