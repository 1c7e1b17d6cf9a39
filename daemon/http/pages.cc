#include "daemon/http/pages.h"

#include <prometheus/text_serializer.h>

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>
#include <memory>
#include <utility>

namespace boxkeeper::daemon {
namespace {

constexpr char kJson[] = "application/json";

HttpPage GatherMetrics(const HttpSources& sources) {
  return [families =
              std::make_shared<const std::vector<prometheus::MetricFamily>>(sources.metrics())] {
    return HttpAnswer{200, "text/plain; version=0.0.4; charset=utf-8",
                      prometheus::TextSerializer().Serialize(*families)};
  };
}

// That the loop ran this is the answer.
HttpPage GatherHealth(const HttpSources&) {
  return [] { return HttpAnswer{200, kJson, "{\"alive\":true}\n"}; };
}

HttpPage GatherReadiness(const HttpSources& sources) {
  return [reasons = sources.not_ready_because()] {
    boost::json::object body;
    body["ready"] = reasons.empty();
    body["reasons"] = boost::json::array(reasons.begin(), reasons.end());
    return HttpAnswer{reasons.empty() ? 200 : 503, kJson, boost::json::serialize(body) + "\n"};
  };
}

}  // namespace

GatherPage FindPage(const std::string& path) {
  if (path == "/metrics") return GatherMetrics;
  if (path == "/healthz") return GatherHealth;
  if (path == "/readyz") return GatherReadiness;
  return nullptr;
}

HttpAnswer HttpError(int status, const std::string& message) {
  boost::json::object body;
  body["error"] = message;
  return {status, kJson, boost::json::serialize(body) + "\n"};
}

}  // namespace boxkeeper::daemon
