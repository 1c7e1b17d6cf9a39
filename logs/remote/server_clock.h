// The storage's clock, for signatures that it refuses when they are minutes off.
#pragma once

#include <string>

#include "absl/time/time.h"
#include "base/clock.h"
#include "base/http/message.h"
#include "logs/remote/errors.h"

namespace boxkeeper::logs::remote {

// On the loop. `clock` outlives it.
class ServerClock {
 public:
  explicit ServerClock(base::Clock& clock) : clock_(clock) {}

  // Our time plus what is known to be missing.
  absl::Time Now() const { return clock_.Now() + offset_; }
  absl::Duration offset() const { return offset_; }

  // Takes over the time of an answer's Date. True if that changed much: a request that was refused
  // for its time is worth another try.
  bool Learn(const base::http::Headers& headers) {
    const std::string* date = headers.Find("Date");
    const auto time = date != nullptr ? ParseHttpDate(*date) : std::nullopt;
    if (!time) return false;
    const absl::Duration offset = *time - clock_.Now();
    if (absl::AbsDuration(offset - offset_) < absl::Seconds(30)) return false;
    offset_ = offset;
    return true;
  }

 private:
  base::Clock& clock_;
  absl::Duration offset_ = absl::ZeroDuration();
};

}  // namespace boxkeeper::logs::remote
