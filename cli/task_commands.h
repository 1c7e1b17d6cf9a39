// Commands about tasks that exist: ls get describe wait cancel abandon.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "cli/session.h"

namespace boxkeeper::cli {

struct LsFlags {
  FilterFlags filter;
  int limit = 100;
  bool all = false;  // no limit
  std::string page_token;
};
int Ls(Session& session, const LsFlags& flags);

int Get(Session& session, const std::vector<std::string>& refs);
int Describe(Session& session, const std::vector<std::string>& refs);

struct WaitFlags {
  std::vector<std::string> refs;
  std::string timeout;        // empty = for ever
  std::string until = "end";  // end, log-complete, running
};
// 0: all succeeded (until running: runs or succeeded); 1: some did not; 124: its own timeout.
int Wait(Session& session, const WaitFlags& flags);

struct CancelFlags {
  std::vector<std::string> refs;
  FilterFlags filter;  // instead of refs
  bool force = false;
  std::string grace;
  std::string reason;
};
// 0 unless a task named is unknown (1).
int Cancel(Session& session, const CancelFlags& flags);

int Abandon(Session& session, const std::vector<std::string>& refs, const std::string& reason);

}  // namespace boxkeeper::cli
