#include "cli/testing/fake_console.h"

#include <cstdint>

#include "cli/testing/samples.h"

namespace boxkeeper::cli {

FakeConsole::FakeConsole() {
  console.out = [this](std::string_view data) {
    std::lock_guard lock(mutex_);
    if (out_.size() >= out_limit) return false;
    out_ += data;
    return true;
  };
  console.err = [this](std::string_view data) {
    std::lock_guard lock(mutex_);
    err_ += data;
    return true;
  };
  console.read_stdin = [this] { return input; };
  console.env = [this](const std::string& name) -> std::optional<std::string> {
    auto found = environment.find(name);
    if (found == environment.end()) return std::nullopt;
    return found->second;
  };
  console.now = [] { return absl::FromUnixSeconds(kSampleNowSeconds); };
  console.watch_interrupts = [this](std::function<void(int)> callback) {
    std::lock_guard lock(mutex_);
    on_interrupt_ = std::move(callback);
    return std::shared_ptr<void>(this, [](FakeConsole* self) {
      std::lock_guard lock(self->mutex_);
      self->on_interrupt_ = nullptr;
    });
  };
}

std::string FakeConsole::out() {
  std::lock_guard lock(mutex_);
  return out_;
}

std::string FakeConsole::err() {
  std::lock_guard lock(mutex_);
  return err_;
}

void FakeConsole::Interrupt() {
  std::function<void(int)> callback;
  int count = 0;
  {
    std::lock_guard lock(mutex_);
    callback = on_interrupt_;
    count = ++interrupts_;
  }
  if (callback) callback(count);
}

}  // namespace boxkeeper::cli
