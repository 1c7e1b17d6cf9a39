// The invariants, after each step: what really happened in the clouds, sandboxes that stay, clocks,
// bounds. What a single record, call, event or answer breaks is found where it passes (durable.h,
// observed_provider.h, readers.h, clients.h).
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "tests/sim/clients.h"
#include "tests/sim/durable.h"
#include "tests/sim/life.h"
#include "tests/sim/readers.h"
#include "tests/sim/trace.h"
#include "tests/sim/world.h"

namespace boxkeeper::sim {

class Checker {
 public:
  Checker(const Plan& plan, World& world, Life& life, Durable& durable, Clients& clients,
          Readers& readers, Trace& trace)
      : plan_(plan),
        world_(world),
        life_(life),
        durable_(durable),
        clients_(clients),
        readers_(readers),
        trace_(trace) {
    durable_.OnMove([this](const DurableTask& task) { OnMove(task); });
  }

  void AfterStep();
  // I9: memory is what the store replays to. Only if nothing waits to become durable.
  void CheckReplay();
  // Everything has come to rest.
  void CheckEnd();
  // A backup was restored: what happened before is no measure any more.
  void Forget();

 private:
  struct Moment {
    base::BootTime at{};
    int boot = 0;  // of the host
  };
  struct Execution {
    int times = 0;
    std::string sandbox;
    base::BootTime at{};  // the last time
    int boot = 0;
  };

  void ReadAudit(Cloud& cloud);
  void OnReboot(int boot, base::BootTime at);
  void OnEntry(Cloud& cloud, const providers::testing::AuditEntry& entry);
  void OnExecute(const providers::testing::AuditEntry& entry, int boot);
  void CheckKey(const Submission& begins);
  void CheckFenced(const DurableTask& task);
  void CheckLeaks();
  base::BootClock::duration LeakBound(const Cloud& cloud, size_t sandboxes) const;
  void OnMove(const DurableTask& task);
  void CheckTask(const DurableTask& task);
  void CheckDeadline(const DurableTask& task, const Submission& submission);
  void CheckTimeout(const DurableTask& task);
  void CheckLease(const DurableTask& task, const Submission& submission);
  void CheckBounds();
  void CheckRecorded(const DurableTask& task);
  void CheckSubmission(const Submission& submission);
  void CheckSuccess(const Submission& submission);
  std::string AuditOf(const std::string& exec_id) const;
  base::BootTime Now() { return life_.clock().Boot(); }
  // How long ago, but no longer than things have gone smoothly.
  base::BootClock::duration Since(base::BootTime at) {
    return Now() - std::max(at, life_.smooth_since());
  }
  void Fail(const char* invariant, const std::string& what) { trace_.Fail(invariant, what); }

  const Plan& plan_;
  World& world_;
  Life& life_;
  Durable& durable_;
  Clients& clients_;
  Readers& readers_;
  Trace& trace_;
  std::map<const Cloud*, size_t> audited_;
  std::map<const Cloud*, int> boots_;             // of the host, as its audit has told so far
  std::map<std::string, Execution> executions_;   // by exec id
  std::set<std::string> excused_;                 // exec ids of before a restored backup
  std::map<std::string, Moment> gone_;            // sandboxes, when they went
  std::map<std::string, base::BootTime> unheld_;  // sandboxes without a lease, since when
  std::map<int64_t, base::BootTime> running_;     // tasks, since when we have seen them RUNNING
};

}  // namespace boxkeeper::sim
