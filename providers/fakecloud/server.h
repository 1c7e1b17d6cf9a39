// FakeCloud as a server: FakeWorld behind HTTP, with the faults of a script on the wire.
//
//   POST   /v1/sandboxes                      create {"name", "labels", "launch" if one-step}:
//                                             201, or 200 with the one that has the name
//   GET    /v1/sandboxes?label=&cursor=&limit= list; label is KEY or KEY=VALUE
//   GET    /v1/sandboxes/by-name/NAME          find
//   GET    /v1/sandboxes/ID                    inspect, with the exit of an ended one
//   POST   /v1/sandboxes/ID/start              {"exec_id", "argv" | "shell", ...}
//   GET    /v1/sandboxes/ID/output?exec_id=&stream=&offset=&limit=   bytes; X-Output-End at the end
//   POST   /v1/sandboxes/ID/signal             {"force", "grace_ms"}
//   POST   /v1/sandboxes/ID/fence              {"fenced": bool}
//   DELETE /v1/sandboxes/ID
//   GET    /v1/events                          a line of JSON for each end; blank lines in between
//
//   PUT    /admin/script     the faults from now on (fault_script.h); GET shows the text
//   GET    /admin/audit      [{"kind", "boot_ns", "name", "exec_id", "detail"}], ?after=N skips N
//   GET    /admin/counts     calls by verb, answers by status, connections, sandboxes
//   POST   /admin/vanish     {"name"}: deletes a sandbox behind its owner's back
//   POST   /admin/foreign    {"name", "labels"}: a sandbox that somebody else made
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/clock.h"
#include "base/rng.h"
#include "providers/testing/fake_world.h"
#include "providers/testing/fault_options.h"

namespace boxkeeper::providers::fakecloud {

struct ServerOptions {
  uint16_t port = 0;  // of 127.0.0.1; 0 = any free one
  std::string token;  // that /v1 asks for as "Authorization: Bearer"; "" = none
  testing::FakeProviderOptions faults;
};

// On one thread, the executor's. Clock, rng and world outlive it and the connections, which end
// with the executor's context. The world's executions go on while nobody is connected.
class FakeCloudServer {
 public:
  struct Deps {
    boost::asio::any_io_executor executor;
    base::Clock& clock;
    base::Rng& rng;
    testing::FakeWorld& world;
  };

  // kUnavailable: it cannot listen.
  static absl::StatusOr<std::unique_ptr<FakeCloudServer>> Create(Deps deps, ServerOptions options);
  // Stops listening and cuts every connection.
  ~FakeCloudServer();

  uint16_t port() const;
  std::string url() const;  // "http://127.0.0.1:PORT"

  // As PUT /admin/script.
  absl::Status SetScript(const std::string& text);

 private:
  struct State;
  explicit FakeCloudServer(std::shared_ptr<State> state) : state_(std::move(state)) {}
  std::shared_ptr<State> state_;
};

}  // namespace boxkeeper::providers::fakecloud
