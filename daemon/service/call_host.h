// What every call needs: admission at the door, the way to the loop, and a list of the open ones.
#pragma once

#include <grpcpp/server_context.h>

#include <atomic>
#include <boost/asio/cancellation_signal.hpp>
#include <chrono>
#include <exception>
#include <memory>
#include <string>
#include <unordered_set>

#include "absl/status/status.h"
#include "base/clock.h"
#include "daemon/metrics/metrics.h"
#include "daemon/service/authenticator.h"
#include "daemon/service/loop_bridge.h"

namespace boxkeeper::daemon {

// One open call as the loop knows it. Cancelling ends what it waits for, never an effect.
class OpenCall {
 public:
  // On the loop. The first reason wins; a call that has not begun yet will not.
  void Cancel(const absl::Status& why);
  bool cancelled() const { return !why_.ok(); }
  const absl::Status& why() const { return why_; }
  boost::asio::cancellation_slot slot() { return signal_.slot(); }

 private:
  boost::asio::cancellation_signal signal_;
  absl::Status why_;
};

enum class ServingState { kStarting, kServing, kStopping };

// Shared by the services; outlives them. `calls_` belongs to the loop, the rest is thread-safe.
class CallHost {
 public:
  CallHost(LoopBridge& bridge, base::Clock& clock, const Authenticator& authenticator,
           Metrics& metrics)
      : bridge(bridge), clock(clock), authenticator(authenticator), metrics(metrics) {}

  LoopBridge& bridge;
  base::Clock& clock;
  const Authenticator& authenticator;
  Metrics& metrics;
  std::atomic<ServingState> state{ServingState::kStarting};
  // An event subscriber that takes no message for this long is cut; it resumes from its last
  // cursor. Before serving.
  std::chrono::nanoseconds event_stall_limit = std::chrono::seconds(60);

  // Who calls; kUnauthenticated if it may not.
  absl::StatusOr<std::string> Authenticate(const grpc::CallbackServerContext& context) const;
  // As Authenticate, and kUnavailable/NOT_READY while the store is being read.
  absl::Status Admit(const grpc::CallbackServerContext& context) const;

  // On the loop.
  void Opened(const std::shared_ptr<OpenCall>& call) { calls_.insert(call); }
  void Closed(const std::shared_ptr<OpenCall>& call) { calls_.erase(call); }
  // Ends every open call that waits, with `why`.
  void CancelAll(const absl::Status& why);

 private:
  std::unordered_set<std::shared_ptr<OpenCall>> calls_;
};

// The errors the services themselves give; reasons as in docs/errors.md.
absl::Status ShuttingDown();
absl::Status ServerBusy();

// What an awaitable of the core ended with: `result`, or the status that an escaped exception
// stands for. A call that was cancelled ends with the reason for that.
absl::Status StatusOfCall(const OpenCall& call, std::exception_ptr escaped, absl::Status result);

}  // namespace boxkeeper::daemon
