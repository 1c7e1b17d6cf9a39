// A console in memory.
#pragma once

#include <map>
#include <mutex>
#include <string>

#include "cli/console.h"

namespace boxkeeper::cli {

// No terminal, UTC, 2026-01-02 15:06:00, an environment of its own. Thread-safe where Console must
// be.
class FakeConsole {
 public:
  FakeConsole();

  Console console;
  std::map<std::string, std::string> environment;
  std::string input;            // stdin
  size_t out_limit = SIZE_MAX;  // stdout refuses (EPIPE) once it holds so many bytes

  std::string out();
  std::string err();
  // The user presses Ctrl-C; nothing happens if nobody watches.
  void Interrupt();

 private:
  std::mutex mutex_;
  std::string out_, err_;
  std::function<void(int)> on_interrupt_;
  int interrupts_ = 0;
};

}  // namespace boxkeeper::cli
