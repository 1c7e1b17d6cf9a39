// How long a command goes on when the daemon goes away: it may be restarting, and nothing of a task
// is lost by that.
#pragma once

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "cli/client.h"
#include "cli/console.h"

namespace boxkeeper::cli {

// True for errors that a restart of the daemon, or of something between, explains. For calls that
// may be repeated.
bool IsPassing(const absl::Status& error);

// Counts the time since the last sign of life for one series of calls. Used on one thread.
class Patience {
 public:
  // `talk`: say on a terminal that the connection is lost, and that it is back.
  Patience(const Console& console, Client& client, bool talk)
      : console_(console), client_(client), talk_(talk) {}

  // After a failed call: true if it is worth repeating; then a pause has passed. False: `error` is
  // final, or the connection's reconnect_timeout is over, or the client was stopped.
  bool TryAgain(const absl::Status& error);
  // After any answer.
  void Answered();

 private:
  const Console& console_;
  Client& client_;
  const bool talk_;
  absl::Time lost_at_ = absl::InfinitePast();  // InfinitePast: not lost
  bool connected_ = false;                     // the trouble is what the daemon answers
  absl::Duration pause_;
};

}  // namespace boxkeeper::cli
