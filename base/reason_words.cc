#include "base/reason_words.h"

namespace boxkeeper::base {

std::string_view ReasonWords(v1::Reason reason) {
  switch (reason) {
    case v1::REASON_OOM:
      return "its memory limit killed it";
    case v1::REASON_RUN_TIMEOUT:
      return "it ran longer than its timeout";
    case v1::REASON_EXPIRED:
      return "its start deadline passed before it could start";
    case v1::REASON_SANDBOX_LOST:
      return "its sandbox vanished without saying how it ended";
    case v1::REASON_HOST_REBOOTED:
      return "its host rebooted";
    case v1::REASON_CANCELLED:
      return "it was cancelled";
    case v1::REASON_CLIENT_LOST:
      return "its client went away";
    default:
      return "";
  }
}

}  // namespace boxkeeper::base
