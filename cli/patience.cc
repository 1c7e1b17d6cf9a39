#include "cli/patience.h"

#include <algorithm>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "cli/human.h"
#include "cli/rpc_error.h"

namespace boxkeeper::cli {
namespace {

constexpr absl::Duration kFirstPause = absl::Milliseconds(50);
constexpr absl::Duration kLongestPause = absl::Seconds(1);

}  // namespace

bool IsPassing(const absl::Status& error) {
  switch (error.code()) {
    case absl::StatusCode::kUnavailable:
    case absl::StatusCode::kDeadlineExceeded:
    case absl::StatusCode::kCancelled:  // a server that shuts down cancels its calls
    case absl::StatusCode::kAborted:
      return true;
    case absl::StatusCode::kResourceExhausted:
      return ErrorReason(error) == "SERVER_BUSY";  // nothing of the call was done
    // How gRPC 1.51 reports a connection that broke in the middle of a stream.
    case absl::StatusCode::kUnknown:
      return absl::StrContains(error.message(), "Stream removed");
    case absl::StatusCode::kInternal:
      return absl::StrContains(error.message(), "RST_STREAM");
    default:
      return false;
  }
}

bool Patience::TryAgain(const absl::Status& error) {
  if (!IsPassing(error) || client_.stopped()) return false;
  const absl::Time now = absl::Now();
  if (lost_at_ == absl::InfinitePast()) {
    lost_at_ = now;
    pause_ = kFirstPause;
    // Only what comes from the daemon has a reason of its own.
    const std::string reason = ErrorReason(error);
    connected_ = !reason.empty() && reason != "UNREACHABLE";
    if (talk_) {
      const std::string what =
          connected_ ? std::string(error.message())
                     : absl::StrCat("lost the connection to ", client_.connection().address);
      console_.Progress(absl::StrCat(what, ", trying again for up to ",
                                     HumanDuration(client_.connection().reconnect_timeout)));
    }
  }
  if (now - lost_at_ >= client_.connection().reconnect_timeout) return false;
  const absl::Duration pause = pause_;
  pause_ = std::min(pause_ * 2, kLongestPause);
  return client_.Pause(pause);
}

void Patience::Answered() {
  if (lost_at_ == absl::InfinitePast()) return;
  lost_at_ = absl::InfinitePast();
  if (talk_) console_.Progress(connected_ ? "it works again" : "connected again");
}

}  // namespace boxkeeper::cli
