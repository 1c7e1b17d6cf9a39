// Looks at a provider's sandboxes with few calls and says what it saw. Never writes state, never
// decides for a task.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <chrono>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "base/clock.h"
#include "providers/provider.h"

namespace boxkeeper::watcher {

// A sandbox that should be there.
struct Known {
  std::string name;
  std::string handle;
};

// Who is told. Called on the loop, from within Cycle.
class Subject {
 public:
  virtual ~Subject() = default;
  // The sandboxes of `provider` that have a handle and should exist, as of now.
  virtual std::vector<Known> KnownSandboxes(const std::string& provider) = 0;
  // A row of the list, or the answer of a direct look-up. Not only of known sandboxes.
  virtual void OnView(const std::string& provider, const provider::v1::SandboxView& view) = 0;
  // Two direct look-ups, `list_lag` apart, said that it does not exist.
  virtual void OnAbsent(const std::string& provider, const std::string& name) = 0;
  // Every call's result, for reachability and metrics.
  virtual void OnCall(const std::string& provider, const char* verb,
                      const absl::Status& status) = 0;
  // Asked for a listed sandbox that was not known in `orphan_grace` worth of cycles: true only if
  // it verifies as ours and no live lease holds it. The watcher then destroys it.
  virtual bool MayDestroyOrphan(const std::string& provider,
                                const provider::v1::SandboxView& view) = 0;
};

struct WatcherOptions {
  std::chrono::milliseconds call_timeout{30'000};
  std::chrono::milliseconds orphan_grace{60'000};
};

// One per provider, on the loop. Cost of a cycle: ceil(N/page) List calls, and one direct look-up
// for each known sandbox that the list did not show. Its owner calls Cycle, one at a time; nothing
// runs between.
class Watcher {
 public:
  // `provider`, `clock` and `subject` outlive it.
  Watcher(providers::Provider& provider, base::Clock& clock, Subject& subject,
          WatcherOptions options)
      : provider_(provider), clock_(clock), subject_(subject), options_(options) {}

  // Looks at everything once. An error: the provider could not be asked; nothing is concluded from
  // that.
  boost::asio::awaitable<absl::Status> Cycle();
  void SetOptions(WatcherOptions options) { options_ = options; }
  // Since when that listed sandbox has been known to nobody, as far as cycles have seen it.
  std::optional<base::BootTime> UnknownSince(const std::string& name) const;

 private:
  boost::asio::awaitable<absl::Status> ListAll(
      std::map<std::string, provider::v1::SandboxView>* seen);
  boost::asio::awaitable<absl::Status> LookUp(const Known& known);
  boost::asio::awaitable<void> ReapOrphans(
      const std::map<std::string, provider::v1::SandboxView>& seen);
  base::BootTime Deadline() const { return clock_.Boot() + options_.call_timeout; }

  providers::Provider& provider_;
  base::Clock& clock_;
  Subject& subject_;
  WatcherOptions options_;
  // Known sandboxes that one direct look-up did not find, and when.
  std::map<std::string, base::BootTime> missing_;
  // Listed sandboxes nobody knows, and since when.
  std::map<std::string, base::BootTime> strangers_;
};

}  // namespace boxkeeper::watcher
