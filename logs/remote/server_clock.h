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

  // Takes over the time of an answer's Date, unless that is about the one we have. True if a
  // request made when the offset was `used` is worth another try: it is another one now, by this
  // answer or by that to another request meanwhile.
  bool Learn(const base::http::Headers& headers, absl::Duration used) {
    const std::string* date = headers.Find("Date");
    const auto time = date != nullptr ? ParseHttpDate(*date) : std::nullopt;
    if (time) {
      const absl::Duration offset = *time - clock_.Now();
      if (absl::AbsDuration(offset - offset_) >= kTolerance) offset_ = offset;
    }
    return absl::AbsDuration(offset_ - used) >= kTolerance;
  }
  // The same for one who makes one request at a time.
  bool Learn(const base::http::Headers& headers) { return Learn(headers, offset_); }

 private:
  static constexpr absl::Duration kTolerance = absl::Seconds(30);

  base::Clock& clock_;
  absl::Duration offset_ = absl::ZeroDuration();
};

}  // namespace boxkeeper::logs::remote
