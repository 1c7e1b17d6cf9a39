// What the breakout probe's files share. Each attempt is one way out of a sandbox; it runs in a
// child of its own and says with which error it was refused.
#pragma once

#include <functional>
#include <string>

namespace boxkeeper::breakout {

// What a prisoner may have learned about the host; empty or 0 where the caller told nothing.
struct Host {
  int victim = 0;             // pid of a process of the same user, outside
  int tcp_port = 0;           // something listens there, on 127.0.0.1 of the host
  std::string abstract_name;  // of a listening unix socket in the abstract namespace
  std::string secret_file;    // outside, readable for the user
  std::string state_dir;      // of the daemon
  bool control = false;       // not in a sandbox: only what does no harm when it succeeds
};

enum class Harm {
  kNone,       // changes nothing where it succeeds: the control run does it too
  kIfAllowed,  // would change the machine where nothing stops it: only in a sandbox
};

// Runs `attempt` in a child and prints {"probe": NAME, "errno": ...}: the name of errno if it
// returned a negative number, "none" if it succeeded, the signal's name if it was killed, "TIMEOUT"
// after 5 s.
void Try(const Host& host, const char* name, Harm harm, const std::function<long()>& attempt);

// Prints {"fact": NAME, "value": TEXT}.
void Tell(const char* name, const std::string& value);

// -1 with errno, or 0: the file can be opened so. Nothing is written.
long CanOpen(const std::string& path, int flags);

// The whole of a small file; "" if it cannot be read.
std::string ReadAll(const std::string& path);

void TryProcesses(const Host& host);
void TryFiles(const Host& host);
void TryKernel(const Host& host);
void TryMounts(const Host& host);
void TryNetwork(const Host& host);
void TellIdentity();

}  // namespace boxkeeper::breakout
