#include "launcher/connection.h"

#include <sys/socket.h>

#include <cerrno>
#include <cstring>

namespace boxkeeper::launcher {
namespace {

constexpr size_t kReadBytes = 64 * 1024;
constexpr size_t kDescriptorsPerRead = 16;
// What a client may leave unread or untaken.
constexpr size_t kDescriptorsMax = 256;
constexpr size_t kRepliesBytesMax = 8 << 20;
constexpr size_t kHintsBytesMax = 256 * 1024;

}  // namespace

Connection::Connection(base::UniqueFd socket, pid_t peer)
    : socket_(std::move(socket)), peer_(peer) {}

bool Connection::Receive(const OnFrame& on_frame) {
  static char buffer[kReadBytes];
  alignas(cmsghdr) char control[CMSG_SPACE(kDescriptorsPerRead * sizeof(int))];
  iovec part{.iov_base = buffer, .iov_len = sizeof(buffer)};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof(control);
  const ssize_t got = recvmsg(socket_.get(), &message, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
  if (got < 0) return errno == EAGAIN || errno == EINTR;
  for (cmsghdr* header = CMSG_FIRSTHDR(&message); header != nullptr;
       header = CMSG_NXTHDR(&message, header)) {
    if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS) continue;
    const size_t count = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (size_t i = 0; i < count; ++i) {
      int fd;
      std::memcpy(&fd, CMSG_DATA(header) + i * sizeof(fd), sizeof(fd));
      descriptors_.emplace_back(fd);
    }
  }
  // A cut control message means that descriptors were lost: frames no longer match theirs.
  if (got == 0 || (message.msg_flags & MSG_CTRUNC) != 0) return false;
  if (descriptors_.size() > kDescriptorsMax) return false;
  parser_.Append({buffer, static_cast<size_t>(got)});
  Frame frame;
  for (;;) {
    switch (parser_.Next(&frame)) {
      case FrameParser::Result::kFrame:
        on_frame(frame);
        break;
      case FrameParser::Result::kNeedMore:
        return !broken_;
      case FrameParser::Result::kMalformed:
        return false;
    }
  }
}

base::UniqueFd Connection::TakeDescriptor() {
  if (descriptors_.empty()) return {};
  base::UniqueFd fd = std::move(descriptors_.front());
  descriptors_.pop_front();
  return fd;
}

void Connection::Send(std::string_view frame) {
  if (out_.size() + frame.size() > kRepliesBytesMax) broken_ = true;
  if (!broken_) out_ += frame;
}

void Connection::SendHint(std::string_view frame) {
  if (out_.size() + frame.size() <= kHintsBytesMax) Send(frame);
}

void Connection::Flush() {
  while (!out_.empty()) {
    const ssize_t sent = send(socket_.get(), out_.data(), out_.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent < 0 && errno == EINTR) continue;
    if (sent < 0) {
      if (errno != EAGAIN) broken_ = true;
      return;
    }
    out_.erase(0, static_cast<size_t>(sent));
  }
}

}  // namespace boxkeeper::launcher
