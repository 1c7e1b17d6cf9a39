#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstdlib>
#include <thread>

#include "absl/time/clock.h"
#include "cli/console.h"

namespace boxkeeper::cli {
namespace {

bool WriteAll(int fd, std::string_view data) {
  while (!data.empty()) {
    ssize_t n = ::write(fd, data.data(), data.size());
    if (n >= 0) {
      data.remove_prefix(static_cast<size_t>(n));
    } else if (errno == EAGAIN) {
      // A non-blocking stdout, shared with whoever set it so.
      pollfd wait{fd, POLLOUT, 0};
      ::poll(&wait, 1, -1);
    } else if (errno != EINTR) {
      return false;
    }
  }
  return true;
}

std::string ReadStdin() {
  std::string all;
  char buffer[65536];
  for (;;) {
    ssize_t n = ::read(STDIN_FILENO, buffer, sizeof(buffer));
    if (n > 0) {
      all.append(buffer, static_cast<size_t>(n));
    } else if (n == 0 || errno != EINTR) {
      return all;
    }
  }
}

// Takes the interrupting signals of this process for as long as it lives. Threads made meanwhile
// inherit the mask.
class InterruptWatch {
 public:
  explicit InterruptWatch(std::function<void(int)> callback) : callback_(std::move(callback)) {
    sigset_t set;
    sigemptyset(&set);
    for (int signal : {SIGINT, SIGTERM, SIGHUP}) sigaddset(&set, signal);
    pthread_sigmask(SIG_BLOCK, &set, &before_);
    ::signal(SIGPIPE, SIG_IGN);  // a closed stdout must not end us before the task is cancelled
    signals_ = ::signalfd(-1, &set, SFD_CLOEXEC);
    stop_ = ::eventfd(0, EFD_CLOEXEC);
    thread_ = std::thread([this] { Run(); });
  }

  ~InterruptWatch() {
    uint64_t one = 1;
    [[maybe_unused]] ssize_t n = ::write(stop_, &one, sizeof(one));
    thread_.join();
    ::close(signals_);
    ::close(stop_);
    pthread_sigmask(SIG_SETMASK, &before_, nullptr);
  }

 private:
  void Run() {
    for (int count = 1;;) {
      pollfd fds[2] = {{signals_, POLLIN, 0}, {stop_, POLLIN, 0}};
      if (::poll(fds, 2, -1) < 0) continue;
      if (fds[1].revents != 0) return;
      signalfd_siginfo info;
      if (::read(signals_, &info, sizeof(info)) == sizeof(info)) callback_(count++);
    }
  }

  const std::function<void(int)> callback_;
  sigset_t before_;
  int signals_ = -1;
  int stop_ = -1;
  std::thread thread_;
};

}  // namespace

Console RealConsole() {
  Console console;
  console.out = [](std::string_view data) { return WriteAll(STDOUT_FILENO, data); };
  console.err = [](std::string_view data) { return WriteAll(STDERR_FILENO, data); };
  console.read_stdin = ReadStdin;
  console.env = [](const std::string& name) -> std::optional<std::string> {
    const char* value = std::getenv(name.c_str());
    if (value == nullptr) return std::nullopt;
    return value;
  };
  console.now = [] { return absl::Now(); };
  console.watch_interrupts = [](std::function<void(int)> callback) -> std::shared_ptr<void> {
    return std::make_shared<InterruptWatch>(std::move(callback));
  };
  console.out_is_terminal = ::isatty(STDOUT_FILENO) == 1;
  console.err_is_terminal = ::isatty(STDERR_FILENO) == 1;
  auto no_color = console.env("NO_COLOR");
  console.colour = console.out_is_terminal && (!no_color || no_color->empty()) &&
                   console.env("TERM").value_or("") != "dumb";
  console.zone = absl::LocalTimeZone();
  return console;
}

}  // namespace boxkeeper::cli
