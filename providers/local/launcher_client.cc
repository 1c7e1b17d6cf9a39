#include "providers/local/launcher_client.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include <algorithm>
#include <boost/asio/associated_cancellation_slot.hpp>
#include <boost/asio/async_result.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "absl/strings/str_cat.h"
#include "providers/local/convert.h"
#include "providers/provider.h"

namespace boxkeeper::providers::local {
namespace {

namespace asio = boost::asio;
using namespace std::chrono_literals;

constexpr auto kRetryMin = 1ms;
constexpr auto kRetryMax = 250ms;
// A launcher that accepts and says nothing for so long is hung up on.
constexpr auto kHelloTimeout = 5s;
constexpr size_t kReadBytes = size_t{64} << 10;
// Reads in a row before others on the loop get their turn.
constexpr int kReadRounds = 16;

// sendmsg(2) of one frame's rest, with its descriptor in front of the first byte.
ssize_t SendSome(int socket, const char* data, size_t size, int fd) {
  iovec part{const_cast<char*>(data), size};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
  if (fd >= 0) {
    message.msg_control = control;
    message.msg_controllen = sizeof(control);
    cmsghdr* header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(header), &fd, sizeof(int));
  }
  return sendmsg(socket, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
}

}  // namespace

LauncherClient::LauncherClient(asio::any_io_executor executor, base::Clock& clock, Options options)
    : executor_(executor),
      clock_(clock),
      options_(std::move(options)),
      retry_alarm_(clock.NewAlarm(executor)),
      retry_delay_(0),
      socket_(executor),
      read_buffer_(kReadBytes),
      deadline_alarm_(clock.NewAlarm(executor)) {}

LauncherClient::~LauncherClient() { Close(); }

void LauncherClient::Close() {
  if (state_ == State::kClosed) return;
  state_ = State::kClosed;
  ++connection_;
  boost::system::error_code ignored;
  socket_.close(ignored);
  retry_alarm_->Cancel();
  deadline_alarm_->Cancel();
  outgoing_.clear();
  CompleteAll(true, {Answer::kCancelled, "", {}});
  CompleteAll(false, {Answer::kCancelled, "", {}});
}

asio::awaitable<absl::Status> LauncherClient::Connect(base::BootTime deadline) {
  const auto self = shared_from_this();
  if (state_ == State::kReady) co_return absl::OkStatus();
  if (state_ == State::kClosed) co_return absl::CancelledError("the provider is closed");
  // The first wait starts the cycle, which then goes on by itself.
  if (retry_delay_ == 0ns) RetryLater();
  const Answer answer = co_await Await(next_id_++, "", nullptr, deadline);
  if (answer.kind == Answer::kReady) co_return absl::OkStatus();
  if (answer.kind == Answer::kFailed) co_return answer.status;
  if (answer.kind == Answer::kDeadline) {
    co_return absl::DeadlineExceededError("no launcher answered in time");
  }
  co_return absl::CancelledError("the call was cancelled");
}

asio::awaitable<absl::StatusOr<std::string>> LauncherClient::Exchange(
    uint16_t type, std::string payload, std::shared_ptr<base::UniqueFd> memfd,
    base::BootTime deadline) {
  const auto self = shared_from_this();
  if (payload.size() > launcher::kPayloadBytesMax) {
    co_return MakeError(
        MakeProviderError(pb::INVALID, "larger than a frame of the launcher", true));
  }
  bool sent = false;
  while (true) {
    const absl::Status ready = co_await Connect(deadline);
    if (!ready.ok() && sent) co_return ready;
    if (!ready.ok()) {
      co_return MakeError(MakeProviderError(pb::TRANSIENT, std::string(ready.message()), true));
    }
    const uint64_t id = next_id_++;
    std::string frame = launcher::EncodeFrame(type, id, payload);
    sent = true;
    Answer answer = co_await Await(id, std::move(frame), memfd, deadline);
    if (answer.kind == Answer::kDisconnected) continue;
    if (answer.kind == Answer::kDeadline) {
      co_return absl::DeadlineExceededError("the launcher did not answer in time");
    }
    if (answer.kind != Answer::kReply) co_return absl::CancelledError("the call was cancelled");
    const launcher::ReplyError error = launcher::DecodeError(answer.payload);
    if (error.code != launcher::ErrorCode::kOk) co_return ErrorOfLauncher(error);
    co_return std::move(answer.payload);
  }
}

asio::awaitable<LauncherClient::Answer> LauncherClient::Await(uint64_t id, std::string frame,
                                                              std::shared_ptr<base::UniqueFd> fd,
                                                              base::BootTime deadline) {
  const auto self = shared_from_this();
  auto executor = co_await asio::this_coro::executor;
  auto initiate = [&](auto handler) {
    using Handler = decltype(handler);
    auto slot = asio::get_associated_cancellation_slot(handler);
    auto held = std::make_shared<std::optional<Handler>>(std::move(handler));
    if (slot.is_connected()) {
      slot.assign([weak = weak_from_this(), id](asio::cancellation_type) {
        if (auto alive = weak.lock()) alive->Complete(id, {Answer::kCancelled, "", {}});
      });
    }
    Waiter waiter;
    waiter.deadline = deadline;
    waiter.for_ready = frame.empty();
    waiter.complete = [held, executor](Answer answer) {
      auto finish = [h = std::move(**held), a = std::move(answer)]() mutable {
        std::move(h)(std::move(a));
      };
      held->reset();
      asio::post(executor, std::move(finish));
    };
    AddWaiter(id, std::move(waiter));
    if (!frame.empty()) Send(std::move(frame), std::move(fd));
  };
  Answer answer = co_await asio::async_initiate<const asio::use_awaitable_t<>&, void(Answer)>(
      initiate, asio::use_awaitable);
  co_return answer;
}

void LauncherClient::AddWaiter(uint64_t id, Waiter waiter) {
  deadlines_.emplace(waiter.deadline, id);
  waiters_.emplace(id, std::move(waiter));
  ArmDeadline();
}

void LauncherClient::Complete(uint64_t id, Answer answer) {
  const auto found = waiters_.find(id);
  if (found == waiters_.end()) return;  // late: it was given up already
  const Waiter waiter = std::move(found->second);
  deadlines_.erase({waiter.deadline, id});
  waiters_.erase(found);
  waiter.complete(std::move(answer));
}

void LauncherClient::CompleteAll(bool for_ready, const Answer& answer) {
  std::vector<uint64_t> ids;
  for (const auto& [id, waiter] : waiters_) {
    if (waiter.for_ready == for_ready) ids.push_back(id);
  }
  for (const uint64_t id : ids) Complete(id, answer);
}

void LauncherClient::ArmDeadline() {
  if (deadlines_.empty() || deadlines_.begin()->first >= deadline_armed_) return;
  deadline_armed_ = deadlines_.begin()->first;
  deadline_alarm_->Set(deadline_armed_, [this] { OnDeadline(); });
}

void LauncherClient::OnDeadline() {
  deadline_armed_ = base::BootTime::max();
  while (!deadlines_.empty() && deadlines_.begin()->first <= clock_.Boot()) {
    Complete(deadlines_.begin()->second, {Answer::kDeadline, "", {}});
  }
  ArmDeadline();
}

void LauncherClient::RetryLater() {
  const auto delay = retry_delay_;
  retry_delay_ = std::clamp<std::chrono::nanoseconds>(retry_delay_ * 2, kRetryMin, kRetryMax);
  retry_alarm_->Set(clock_.Boot() + delay, [this] { TryToConnect(); });
}

void LauncherClient::TryToConnect() {
  if (state_ != State::kConnecting) return;
  const int fd = launcher::ConnectToLauncher(options_.state_dir);
  if (fd >= 0) {
    boost::system::error_code error;
    socket_.assign(fd, error);
    if (!error) return SayHello();
    ::close(fd);
  } else if (errno == ENOENT || errno == ECONNREFUSED) {
    const absl::Status started = options_.start_launcher();
    if (!started.ok()) CompleteAll(true, {Answer::kFailed, "", started});
  } else if (errno != EAGAIN) {
    const std::string why = absl::StrCat("connect to the launcher: ", strerror(errno));
    CompleteAll(true, {Answer::kFailed, "", absl::UnavailableError(why)});
  }
  RetryLater();
}

void LauncherClient::SayHello() {
  state_ = State::kHello;
  ++connection_;
  parser_ = launcher::FrameParser();
  launcher::HelloRequest request;
  request.state_dir = options_.state_dir;
  request.boot_id = clock_.BootId();
  const uint64_t id = next_id_++;
  Waiter waiter;
  waiter.deadline = clock_.Boot() + kHelloTimeout;
  waiter.complete = [this](Answer answer) { OnHello(std::move(answer)); };
  AddWaiter(id, std::move(waiter));
  WaitReadable();
  Send(launcher::RequestFrame(id, request), nullptr);
}

void LauncherClient::OnHello(Answer answer) {
  if (state_ != State::kHello) return;
  absl::Status refused;
  launcher::HelloReply reply;
  if (answer.kind == Answer::kDeadline) {
    refused = absl::UnavailableError("the launcher accepted and did not say Hello");
  } else if (answer.kind == Answer::kReply) {
    const launcher::ReplyError error = launcher::DecodeError(answer.payload);
    if (error.code != launcher::ErrorCode::kOk) {
      refused = absl::UnavailableError(absl::StrCat("the launcher refused us: ", error.message));
    } else if (!launcher::Decode(answer.payload, &reply)) {
      refused = MalformedReply();
    }
  }
  if (!refused.ok()) {
    CompleteAll(true, {Answer::kFailed, "", refused});
    return Disconnect();
  }
  if (answer.kind != Answer::kReply) return;  // the connection broke, and is tried again
  hello_ = std::move(reply);
  state_ = State::kReady;
  retry_delay_ = kRetryMin;
  CompleteAll(true, {Answer::kReady, "", {}});
  if (options_.connected) options_.connected();
}

void LauncherClient::Disconnect() {
  if (state_ != State::kHello && state_ != State::kReady) return;
  state_ = State::kConnecting;
  ++connection_;
  boost::system::error_code ignored;
  socket_.close(ignored);
  outgoing_.clear();
  waits_writable_ = false;
  CompleteAll(false, {Answer::kDisconnected, "", {}});
  RetryLater();
}

void LauncherClient::Send(std::string frame, std::shared_ptr<base::UniqueFd> fd) {
  outgoing_.push_back({std::move(frame), 0, std::move(fd)});
  if (!waits_writable_) Flush();
}

void LauncherClient::Flush() {
  while (!outgoing_.empty()) {
    Outgoing& next = outgoing_.front();
    const int fd = next.fd != nullptr && next.sent == 0 ? next.fd->get() : -1;
    const ssize_t sent = SendSome(socket_.native_handle(), next.bytes.data() + next.sent,
                                  next.bytes.size() - next.sent, fd);
    if (sent < 0 && errno == EINTR) continue;
    if (sent < 0 && (errno == EAGAIN || errno == ENOBUFS || errno == ETOOMANYREFS)) break;
    if (sent < 0) return Disconnect();
    next.sent += static_cast<size_t>(sent);
    if (next.sent == next.bytes.size()) outgoing_.pop_front();
  }
  if (outgoing_.empty()) return;
  waits_writable_ = true;
  socket_.async_wait(
      asio::posix::stream_descriptor::wait_write,
      [weak = weak_from_this(), connection = connection_](boost::system::error_code error) {
        const auto self = weak.lock();
        if (self == nullptr || self->connection_ != connection) return;
        self->waits_writable_ = false;
        if (error) return self->Disconnect();
        self->Flush();
      });
}

void LauncherClient::WaitReadable() {
  socket_.async_wait(
      asio::posix::stream_descriptor::wait_read,
      [weak = weak_from_this(), connection = connection_](boost::system::error_code error) {
        const auto self = weak.lock();
        if (self == nullptr || self->connection_ != connection) return;
        if (error) return self->Disconnect();
        self->Read();
      });
}

void LauncherClient::Read() {
  const uint64_t connection = connection_;
  for (int round = 0; round < kReadRounds; ++round) {
    const ssize_t got =
        recv(socket_.native_handle(), read_buffer_.data(), read_buffer_.size(), MSG_DONTWAIT);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0 && errno == EAGAIN) break;
    if (got <= 0) return Disconnect();
    parser_.Append({read_buffer_.data(), static_cast<size_t>(got)});
    launcher::Frame frame;
    launcher::FrameParser::Result result;
    while ((result = parser_.Next(&frame)) == launcher::FrameParser::Result::kFrame) {
      Dispatch(frame);
      if (connection_ != connection) return;
    }
    if (result == launcher::FrameParser::Result::kMalformed) return Disconnect();
    if (static_cast<size_t>(got) < read_buffer_.size()) break;
  }
  WaitReadable();
}

void LauncherClient::Dispatch(const launcher::Frame& frame) {
  if (frame.is_reply()) {
    return Complete(frame.request_id, {Answer::kReply, std::string(frame.payload), {}});
  }
  launcher::ExitedEvent event;
  if (frame.Is(launcher::MessageType::kExitedEvent) && launcher::Decode(frame.payload, &event) &&
      options_.exited) {
    options_.exited(event.info);
  }
}

absl::Status LauncherClient::MalformedReply() {
  return MakeError(MakeProviderError(pb::PROTOCOL, "the launcher's answer makes no sense", false));
}

}  // namespace boxkeeper::providers::local
