// The provider contract: one narrow interface to whatever runs sandboxes. Nothing of a provider's
// oddities passes it.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/clock.h"
#include "boxkeeper/provider/v1/provider.pb.h"

namespace boxkeeper::providers {

namespace pb = ::boxkeeper::provider::v1;

struct FieldViolation {
  std::string field;        // path as the user wrote it, e.g. "sandbox_override.cpu"
  std::string description;  // what is wrong and what is allowed
};

// A latency hint: look at `sandbox_name` now. Polling stays the truth; a hint may be lost, early or
// repeated.
struct ProviderHint {
  std::string sandbox_name;  // empty = look at everything (e.g. after a reconnect)
  // What the provider attests along with it, as Inspect would; null = Inspect to know.
  std::shared_ptr<const pb::SandboxView> view;
};

struct SignalRequest {
  bool force = false;                       // KILL at once
  std::chrono::milliseconds grace{10'000};  // else TERM, and KILL after this
};

// What one provider may be asked at a time (configuration keys `concurrency` and `call_timeout`).
struct CallLimits {
  int create = 32;                                 // calls in flight that create and start
  int status = 128;                                // that look
  int cleanup = 32;                                // that signal, fence and destroy
  std::chrono::milliseconds call_timeout{30'000};  // of one call to the provider's API
};

// All methods are called on the loop and complete on it; every call takes an absolute deadline and
// completes by it (kDeadlineExceeded: the effect is unknown). Cancellation of an awaitable leaves
// the effect unknown too. Errors travel as absl::Status made by MakeError (below), so that ErrorOf
// gives the class back.
class Provider {
 public:
  virtual ~Provider() = default;

  virtual const std::string& name() const = 0;  // as configured
  virtual const std::string& type() const = 0;  // "local", "docker", ...
  virtual const pb::Capabilities& capabilities() const = 0;
  // What an operator should know, e.g. "tasks run as root". Shown by status and `boxctl providers`.
  virtual std::vector<std::string> warnings() const { return {}; }
  // False when stopping the daemon's service would also end the sandboxes, or when that is not
  // known yet.
  virtual bool tasks_survive_service_stop() const { return true; }
  // Version of the helper process the provider talks to; "" = none, or not spoken to yet.
  virtual std::string helper_version() const { return ""; }

  // Every violation, empty if it can run `spec`. Pure: no call out, any thread, costs nothing.
  virtual std::vector<FieldViolation> Validate(const v1::SandboxSpec& spec) const = 0;

  // For providers that bound their calls themselves, as all remote ones do. May be called again at
  // any time; what is in flight is not touched.
  virtual void SetLimits(const CallLimits& limits) {}

  // Brings up what the provider needs (a launcher, a session). Called once before any other verb,
  // repeatable.
  virtual boost::asio::awaitable<absl::Status> Open(base::BootTime deadline) = 0;

  // What Open found configured that cannot work, though the provider can: kInvalidArgument naming
  // all of it. `--check_config --connect` fails on it; also among the warnings.
  virtual absl::Status Check() const { return absl::OkStatus(); }

  // Creates one sandbox per request, concurrently, never one after another. `done(i, outcome)` is
  // called on the loop exactly once per request, as soon as its outcome is known, before Create
  // completes. Idempotent by name: an existing one of ours is `adopted`.
  virtual boost::asio::awaitable<void> Create(
      std::vector<pb::CreateRequest> requests, base::BootTime deadline,
      std::function<void(size_t, pb::CreateOutcome)> done) = 0;

  // Runs the command detached. Idempotent per exec_id where capabilities().start_idempotent.
  virtual boost::asio::awaitable<pb::StartOutcome> Start(std::string handle,
                                                         pb::LaunchRequest launch,
                                                         base::BootTime deadline) = 0;

  // Direct look-up by name. State ABSENT only if the provider says so itself. Where several have
  // that name (not name_unique_incl_ended): the oldest, then the one with the smallest handle.
  virtual boost::asio::awaitable<absl::StatusOr<pb::SandboxView>> Find(std::string name,
                                                                       base::BootTime deadline) = 0;
  // All our sandboxes in pages; `cursor` empty = first page. Unless name_unique_incl_ended, a
  // sandbox has the same handle, byte by byte, in every answer: it tells the spares.
  virtual boost::asio::awaitable<absl::StatusOr<pb::ListPage>> List(std::string cursor,
                                                                    base::BootTime deadline) = 0;
  // State with the exit record of an ended one. ABSENT is an answer, not an error.
  virtual boost::asio::awaitable<absl::StatusOr<pb::SandboxView>> Inspect(
      std::string handle, base::BootTime deadline) = 0;
  // At most `max_bytes` of one stream ("stdout", "stderr") from `offset`. kUnimplemented where
  // spool_is_native.
  virtual boost::asio::awaitable<absl::StatusOr<pb::OutputChunk>> ReadOutput(
      std::string handle, std::string exec_id, std::string stream, int64_t offset,
      int64_t max_bytes, base::BootTime deadline);

  // Asks the whole process tree to end; answers when the request was taken, not when it is gone.
  // Absent is success.
  virtual boost::asio::awaitable<absl::Status> Signal(std::string handle, SignalRequest request,
                                                      base::BootTime deadline) = 0;
  // Extends the server-side lifetime. kUnimplemented where there is none.
  virtual boost::asio::awaitable<absl::Status> Renew(std::string handle,
                                                     std::chrono::seconds lifetime,
                                                     base::BootTime deadline);
  // Removes the sandbox and all it holds (not the spool). Destroying an absent one is success.
  virtual boost::asio::awaitable<absl::Status> Destroy(std::string handle,
                                                       base::BootTime deadline) = 0;
  // OK only when it is certain that nothing of it runs or can start any more. kFailedPrecondition:
  // not certain (yet).
  virtual boost::asio::awaitable<absl::Status> Fence(std::string handle,
                                                     base::BootTime deadline) = 0;

  // Registers the one receiver of hints; called on the loop. Providers without events never call
  // it.
  virtual void OnHint(std::function<void(ProviderHint)> receiver) {}
};

// A status that carries a ProviderError: its class decides what the core does, its text is for
// people.
absl::Status MakeError(const pb::ProviderError& error);
pb::ProviderError MakeProviderError(pb::ErrorClass error_class, std::string message,
                                    bool proves_no_effect);
// The error in `status`; a status made elsewhere is classified by its code, without proof of no
// effect.
pb::ProviderError ErrorOf(const absl::Status& status);

// The providers of one daemon, by configured name.
using ProviderRegistry = std::map<std::string, std::shared_ptr<Provider>>;

}  // namespace boxkeeper::providers
