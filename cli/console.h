// What boxctl sees of the world it runs in: its streams, environment and time. Tests give their
// own.
#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>

#include "absl/time/time.h"

namespace boxkeeper::cli {

// Thread-safe where the functions given are; those of RealConsole are.
struct Console {
  // Write all of the bytes; false: nobody reads any more (EPIPE) or the write failed.
  std::function<bool(std::string_view)> out;
  std::function<bool(std::string_view)> err;
  std::function<std::string()> read_stdin;  // until its end
  std::function<std::optional<std::string>(const std::string&)> env;
  std::function<absl::Time()> now;
  // Calls back on a thread of its own with 1, 2, ... at each Ctrl-C (SIGINT, SIGTERM, SIGHUP) until
  // the result is destroyed. To be called before any other thread exists.
  std::function<std::shared_ptr<void>(std::function<void(int)>)> watch_interrupts;
  bool out_is_terminal = false;
  bool err_is_terminal = false;
  bool colour = false;  // of stdout: a terminal, without NO_COLOR
  absl::TimeZone zone = absl::UTCTimeZone();

  // A note on what is going on: on stderr, and only on a terminal.
  void Progress(const std::string& text) const {
    if (err_is_terminal) err("boxctl: " + text + "\n");
  }
};

Console RealConsole();

}  // namespace boxkeeper::cli
