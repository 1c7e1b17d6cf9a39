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
#include "base/id128.h"
#include "providers/provider.h"

namespace boxkeeper::watcher {

// A sandbox that should be there.
struct Known {
  base::SandboxId id;
  std::string handle;
};

// What a listed row is.
enum class Row {
  kKnown,     // somebody holds it, or may be making it
  kSpare,     // a second sandbox of an id that is known by another handle
  kStranger,  // nobody's, as far as is known
};

// Who is told. Called on the loop, from within Cycle.
class Subject {
 public:
  virtual ~Subject() = default;
  // What becomes known from here on is not missing from the list that follows.
  virtual void BeginCycle(const std::string& provider) = 0;
  // A row of the list; pages may repeat rows. Cheap: called for each sandbox in each cycle.
  virtual Row OnRow(const std::string& provider, const provider::v1::SandboxView& view) = 0;
  // The sandboxes that have a handle, should exist, were known when the cycle began and were not
  // among its rows.
  virtual std::vector<Known> Missing(const std::string& provider) = 0;
  // A direct look-up of a missing one found it.
  virtual void OnFound(const std::string& provider, const Known& known,
                       const provider::v1::SandboxView& view) = 0;
  // Two direct look-ups, `list_lag` apart, said that it does not exist.
  virtual void OnAbsent(const std::string& provider, const Known& known) = 0;
  // Every call's result, for reachability and metrics.
  virtual void OnCall(const std::string& provider, const char* verb,
                      const absl::Status& status) = 0;
  // Asked for a stranger that was listed for `orphan_grace` worth of cycles: true only if it
  // verifies as ours and no live lease holds it. The watcher then destroys it.
  virtual bool MayDestroyOrphan(const std::string& provider,
                                const provider::v1::SandboxView& view) = 0;
  // Asked for a spare after the whole list: true only if the one that is held was in it, too.
  virtual bool MayDestroySpare(const std::string& provider,
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
  // Since when the stranger with that handle has been listed, as far as cycles have seen it.
  std::optional<base::BootTime> UnknownSince(const std::string& handle) const;

 private:
  // Rows that are not known, by handle.
  struct Others {
    std::map<std::string, provider::v1::SandboxView> strangers;
    std::map<std::string, provider::v1::SandboxView> spares;
  };
  boost::asio::awaitable<absl::Status> ListAll(Others* others);
  boost::asio::awaitable<absl::Status> LookUpMissing();
  boost::asio::awaitable<absl::Status> LookUp(const Known& known);
  boost::asio::awaitable<void> DestroySpares(const Others& others);
  boost::asio::awaitable<void> ReapOrphans(const Others& others);
  base::BootTime Deadline() const { return clock_.Boot() + options_.call_timeout; }

  providers::Provider& provider_;
  base::Clock& clock_;
  Subject& subject_;
  WatcherOptions options_;
  // By handle: known sandboxes that one direct look-up did not find, and when.
  std::map<std::string, base::BootTime> missing_;
  // By handle: listed sandboxes nobody knows, and since when.
  std::map<std::string, base::BootTime> strangers_;
};

}  // namespace boxkeeper::watcher
