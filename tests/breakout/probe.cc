#include "tests/breakout/probe.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

namespace boxkeeper::breakout {
namespace {

constexpr int kTimeoutMilliseconds = 5000;

std::string Quoted(const std::string& text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    out += static_cast<unsigned char>(c) < 0x20 ? ' ' : c;
  }
  return out + "\"";
}

std::string NameOfError(int error) {
  const char* name = strerrorname_np(error);
  return error == 0 ? "none" : name != nullptr ? name : std::to_string(error);
}

// Waits for the child's word; without one its end says what happened.
std::string Await(pid_t child, int pipe) {
  pollfd ready{.fd = pipe, .events = POLLIN, .revents = 0};
  if (poll(&ready, 1, kTimeoutMilliseconds) == 0) {
    kill(child, SIGKILL);
    waitpid(child, nullptr, 0);
    return "TIMEOUT";
  }
  int error = 0;
  const bool told = read(pipe, &error, sizeof(error)) == sizeof(error);
  int status = 0;
  waitpid(child, &status, 0);
  if (told) return NameOfError(error);
  if (WIFSIGNALED(status)) return std::string("SIG") + sigabbrev_np(WTERMSIG(status));
  return "SILENT";
}

}  // namespace

void Try(const Host& host, const char* name, Harm harm, const std::function<long()>& attempt) {
  if (host.control && harm == Harm::kIfAllowed) return;
  int pipe[2];
  if (pipe2(pipe, O_CLOEXEC) != 0) return;
  const pid_t child = fork();
  if (child == 0) {
    errno = 0;
    const int error = attempt() < 0 ? errno : 0;
    (void)!write(pipe[1], &error, sizeof(error));
    _exit(0);
  }
  close(pipe[1]);
  const std::string result = child < 0 ? "NOFORK" : Await(child, pipe[0]);
  close(pipe[0]);
  printf("{\"probe\": %s, \"errno\": %s}\n", Quoted(name).c_str(), Quoted(result).c_str());
  fflush(stdout);
}

void Tell(const char* name, const std::string& value) {
  printf("{\"fact\": %s, \"value\": %s}\n", Quoted(name).c_str(), Quoted(value).c_str());
  fflush(stdout);
}

long CanOpen(const std::string& path, int flags) {
  const int fd = open(path.c_str(), flags | O_CLOEXEC | O_NONBLOCK);
  if (fd >= 0) close(fd);
  return fd < 0 ? -1 : 0;
}

std::string ReadAll(const std::string& path) {
  std::string out;
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return out;
  char buffer[4096];
  for (ssize_t got; (got = read(fd, buffer, sizeof(buffer))) > 0;) {
    out.append(buffer, static_cast<size_t>(got));
  }
  close(fd);
  return out;
}

}  // namespace boxkeeper::breakout
