// From a request of FakeCloud's API to its effect in the world.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "providers/testing/fake_world.h"
#include "providers/testing/fault_options.h"
#include "providers/testing/fault_plan.h"

namespace boxkeeper::providers::fakecloud {

struct HttpRequest {
  std::string method;
  std::string target;
  std::string body;
};

struct HttpAnswer {
  int status = 200;
  std::string body = {};
  std::string type = "application/json";
  std::map<std::string, std::string> headers = {};
};

HttpAnswer ErrorAnswer(int status, const std::string& code, const std::string& message);

// A path and its query, decoded.
struct Target {
  std::vector<std::string> path;
  std::map<std::string, std::string> query;
};
// nullopt: badly encoded.
std::optional<Target> ParseTarget(const std::string& target);

// A call of /v1 that was understood: what faults apply to it, and what it does when its time has
// come.
struct Route {
  testing::Verb verb;
  std::function<HttpAnswer()> effect;
};

// What `effect` needs; all of it outlives the routes.
struct RouterDeps {
  testing::FakeWorld& world;
  testing::FaultPlanner& faults;
  testing::FakeProviderOptions& options;
};

// The route, or an answer that says what is wrong with the request.
std::variant<Route, HttpAnswer> RouteOf(const HttpRequest& request, RouterDeps deps);

}  // namespace boxkeeper::providers::fakecloud
