#include "tests/sim/rare_paths.h"

namespace boxkeeper::sim {
namespace {

constexpr const char* kRarePaths[] = {
    "kill -9",
    "killed while starting",
    "power cut",
    "exit 74",
    "disk full",
    "reboot",
    "SIGSTOP",
    "clock jump",
    "restored backup",
    "store older than the world",
    "higher epoch accepted",
    "look at what is not shown yet",
    "hand-over",
    "outage",
    "outage of an hour",
    "unknown state word",
    "orphan destroyed",
    "cursor gone",
    "acknowledged",
    "listed all",
    "replay compared",
    "lease renewed",
    "abandoned",
    "drain",
    "drain off",
    "submit ACCEPTED",
    "submit DUPLICATE",
    "submit ALREADY_LIVE",
    "submit QUEUE_FULL",
    "submit REJECTED",
    "cancel CANCELLED",
    "cancel STOPPING",
    "cancel ALREADY_TERMINAL",
    "adopt LIVE",
    "adopt TERMINAL",
    "wait told an end",
    "wait timed out",
    "silent start ended",
    "output fetched",
    "output given up",
    "output of a vanished sandbox",
    "exit record of what never started",
    "end EXIT_CODE",
    "end SIGNAL",
    "end RUN_TIMEOUT",
    "end EXPIRED",
    "end CREATE_FAILED",
    "end CREATE_UNCERTAIN",
    "end START_FAILED",
    "end QUOTA",
    "end CAPACITY",
    "end SANDBOX_LOST",
    "end HOST_REBOOTED",
    "end CANCELLED",
    "end CLIENT_LOST",
};

}  // namespace

std::vector<std::string> RarePathsMissed(const std::map<std::string, int64_t>& sometimes) {
  std::vector<std::string> missed;
  for (const char* path : kRarePaths) {
    const auto found = sometimes.find(path);
    if (found == sometimes.end() || found->second == 0) missed.push_back(path);
  }
  return missed;
}

}  // namespace boxkeeper::sim
