// The cloud behind FakeProvider: sandboxes, what runs in them, and an audit log of everything that
// really happened.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "base/clock.h"
#include "boxkeeper/provider/v1/provider.pb.h"

namespace boxkeeper::providers::testing {

namespace pb = ::boxkeeper::provider::v1;

// What the user's command does in the fake.
struct Behaviour {
  std::chrono::nanoseconds run{0};  // from its start to its own end
  int exit_code = 0;
  int signal = 0;            // not 0: it ends by this signal instead
  int64_t stdout_bytes = 0;  // printed evenly over `run`
  int64_t stderr_bytes = 0;
  bool ignore_term = false;   // ends only by KILL
  bool start_fails = false;   // cannot be executed: user code never runs
  bool start_silent = false;  // runs, and nobody attests that it began
};

// Reads the convention `sim [run=500ms] [exit=3] [signal=9] [out=100] [err=10] [ignore_term]
// [start_fails] [start_silent]` from argv or from the shell form. Any other command ends at once
// with exit code 0.
Behaviour BehaviourOf(const pb::LaunchRequest& launch);

// Byte i of any stream of the fake; a line ends after 79 characters.
char OutputByte(int64_t offset);

struct AuditEntry {
  enum Kind {
    kCreate,   // a sandbox came to be
    kStart,    // a Start arrived (also repeated or refused ones)
    kExecute,  // user code began to run
    kSignal,
    kDestroy,  // detail "absent" where there was nothing
    kFence,
    kVanish,
    kReboot,
  };
  Kind kind;
  base::BootTime at;
  std::string name;     // of the sandbox
  std::string exec_id;  // with kStart and kExecute
  std::string detail;   // with kCreate the handle
};

struct FakeWorldOptions {
  bool one_step = false;
  bool start_idempotent = true;
  bool name_unique_incl_ended = true;
  bool host_bound = false;
  // How long a new sandbox is missing from List and Find, and how long a deleted one is still
  // listed.
  std::chrono::nanoseconds create_list_lag{0};
  std::chrono::nanoseconds delete_list_lag{0};
  std::chrono::nanoseconds kill_latency{0};  // from KILL to the end
  size_t capacity = SIZE_MAX;  // sandboxes at a time; above it Create answers CAPACITY
  size_t quota = SIZE_MAX;     // sandboxes ever made; above it Create answers QUOTA
  std::function<Behaviour(const pb::LaunchRequest&)> script = BehaviourOf;
  // With it the provider declares `spool_is_native` and hands the whole output over when an
  // execution ends.
  std::function<void(const pb::SpoolPaths&, const std::string& stream, const std::string& data)>
      spool_writer;
  // Told of each entry of the audit log as it is made.
  std::function<void(const AuditEntry&)> auditor;
};

// "create", "start", ...
const char* AuditWord(AuditEntry::Kind kind);

// Outlives the adapter: requests on their way still take effect after the daemon died, executions
// go on and end. Owns no timer: what was due is applied, in order, whenever the world is looked at.
// Single-threaded.
class FakeWorld {
 public:
  FakeWorld(base::Clock& clock, FakeWorldOptions options);
  FakeWorld(const FakeWorld&) = delete;
  FakeWorld& operator=(const FakeWorld&) = delete;

  FakeWorldOptions& options() { return options_; }
  // For a clock that dies with the daemon's io_context. Its boot time must not be behind the old
  // one's.
  void Rebind(base::Clock& clock) { clock_ = &clock; }

  // --- for the adapter ---
  // `effect` happens at `at`, whoever is still there to hear of it.
  void Schedule(base::BootTime at, std::function<void()> effect);
  // Applies what is due.
  void Settle();
  // When something happens next by itself.
  std::optional<base::BootTime> NextDue() const;

  absl::StatusOr<pb::CreateOutcome> Create(const pb::CreateRequest& request);
  pb::StartOutcome Start(const std::string& handle, const pb::LaunchRequest& launch);
  pb::SandboxView Find(const std::string& name);
  // Without any lag; nullptr if there is none.
  std::shared_ptr<const pb::SandboxView> ViewByName(const std::string& name) const;
  // Rows with a name above `after`, at most `limit`; foreign sandboxes are listed too, as an API
  // without filters would.
  std::vector<pb::SandboxView> List(const std::string& after, size_t limit);
  pb::SandboxView Inspect(const std::string& handle);
  absl::StatusOr<pb::OutputChunk> ReadOutput(const std::string& handle, const std::string& exec_id,
                                             const std::string& stream, int64_t offset,
                                             int64_t max_bytes);
  void Signal(const std::string& handle, bool force, std::chrono::nanoseconds grace);
  void Destroy(const std::string& handle);
  // kFailedPrecondition until nothing runs any more; from the first call on no Start succeeds.
  absl::Status Fence(const std::string& handle);

  // Observers are told of each end and, with an empty name, of new entries in the schedule. Returns
  // an id.
  int Observe(std::function<void(const std::string& name)> observer);
  void Unobserve(int id) { observers_.erase(id); }

  // --- for tests ---
  // Deletes a sandbox behind the daemon's back; its user code ends with it. False if there is none.
  bool Vanish(const std::string& name);
  // Ends everything and forgets requests on their way. To be called before the clock reboots.
  void Reboot();
  // A sandbox that somebody else made.
  void AddForeign(const std::string& name, std::map<std::string, std::string> labels);

  const std::vector<AuditEntry>& audit() const { return audit_; }
  // How often user code began, per exec_id over all sandboxes. A value above 1 breaks "never runs a
  // try twice".
  std::map<std::string, int> ExecutionsByExecId() const;
  std::map<std::string, int> ExecutionsBySandbox() const;
  std::vector<std::string> SandboxNames();    // that exist now
  std::vector<std::string> RunningExecIds();  // whose user code runs now

 private:
  struct Execution {
    pb::LaunchRequest launch;
    Behaviour behaviour;
    base::BootTime started;
    absl::Time started_wall;
    base::BootTime ends;
    pb::ExitRecord end;  // what it will be, or was
    bool spooled = false;
    bool before_reboot = false;  // over; its times are of another boot
  };
  struct Sandbox {
    std::string name;
    std::string handle;
    std::map<std::string, std::string> labels;
    base::BootTime created;
    absl::Time created_wall;
    std::optional<Execution> execution;
    bool fenced = false;
    bool rebooted = false;
  };
  struct Ghost {  // deleted and still listed
    pb::SandboxView view;
    base::BootTime until;
  };

  base::BootTime Now() const { return clock_->Boot(); }
  void Audit(AuditEntry::Kind kind, const std::string& name, std::string exec_id = "",
             std::string detail = "");
  Sandbox& Make(const std::string& name, std::map<std::string, std::string> labels);
  Sandbox* ByHandle(const std::string& handle);
  void Execute(Sandbox& sandbox, const pb::LaunchRequest& launch);
  // The execution now ends at `at` as `change` says, if it would have lasted longer.
  void EndEarlier(Sandbox& sandbox, base::BootTime at,
                  const std::function<void(pb::ExitRecord&)>& change);
  void AnnounceEnd(Sandbox& sandbox);
  void Remove(Sandbox& sandbox);
  void Spool(Execution& execution);
  bool Ended(const Sandbox& sandbox) const;
  static int64_t Printed(const Execution& execution, int64_t total, base::BootTime now);
  pb::ExitRecord EndOf(const Execution& execution) const;
  pb::SandboxView ViewOf(const Sandbox& sandbox) const;

  base::Clock* clock_;
  FakeWorldOptions options_;
  std::map<std::string, Sandbox> sandboxes_;  // by name
  std::map<std::string, Ghost> ghosts_;       // by name
  std::map<std::pair<base::BootTime, uint64_t>, std::function<void()>> schedule_;
  uint64_t next_sequence_ = 0;
  uint64_t next_instance_ = 1;
  bool settling_ = false;
  std::map<int, std::function<void(const std::string&)>> observers_;
  int next_observer_ = 0;
  std::vector<AuditEntry> audit_;
  size_t made_ = 0;  // sandboxes, ever
};

}  // namespace boxkeeper::providers::testing
