// What the HTTP server shows: /metrics, /healthz, /readyz.
#pragma once

#include <prometheus/metric_family.h>

#include <functional>
#include <string>
#include <vector>

namespace boxkeeper::daemon {

struct HttpAnswer {
  int status = 200;
  std::string content_type;
  std::string body;
};

// Where the pages' content comes from; called on the loop.
struct HttpSources {
  std::function<std::vector<prometheus::MetricFamily>()> metrics;
  // Empty = ready.
  std::function<std::vector<std::string>()> not_ready_because;
};

// A page is made in two steps, so that text is made off the loop: Gather on the loop, then the
// result anywhere.
using HttpPage = std::function<HttpAnswer()>;
using GatherPage = std::function<HttpPage(const HttpSources&)>;

// nullptr: there is no such page. `path` without query.
GatherPage FindPage(const std::string& path);

// {"error": message}
HttpAnswer HttpError(int status, const std::string& message);

}  // namespace boxkeeper::daemon
