// Clients: they submit, ask, cancel, adopt, and hold every answer against what was answered before
// and against what is durable (I1, I2, I12).
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "boxkeeper/store/v1/records.pb.h"
#include "boxkeeper/v1/executor.pb.h"
#include "tests/sim/draws.h"
#include "tests/sim/durable.h"
#include "tests/sim/life.h"
#include "tests/sim/trace.h"

namespace boxkeeper::sim {

// What the clients know of one submission. Lives through every crash.
struct Submission {
  base::SubmissionId submission_id;
  std::string key;
  store::v1::Accepted record;
  v1::OnLiveKey on_live_key = v1::ON_LIVE_KEY_REJECT;
  // What the command does.
  std::chrono::milliseconds run{0};
  int exit_code = 0;
  int signal = 0;
  bool start_fails = false;

  bool acknowledged = false;  // some answer said ACCEPTED or DUPLICATE
  std::string id;
  bool never_starts = false;      // a cancel was answered CANCELLED
  std::optional<v1::Task> ended;  // its end, as somebody was told first
  base::BootTime ended_at{};      // when that was told
  std::optional<base::BootTime> accepted_at;
  int64_t accepted_boot = 0;    // which boot of the host
  base::BootTime renewed_at{};  // its lease, last
  bool excused = false;         // of before a restored backup: what it did is no measure
};
using SubmissionPtr = std::shared_ptr<Submission>;

class Clients {
 public:
  Clients(const Plan& plan, World& world, Life& life, Durable& durable, Trace& trace)
      : plan_(plan), world_(world), life_(life), durable_(durable), trace_(trace) {}

  void SubmitNew(Draws& draws);
  // The same submission again, from one client or several at once.
  void SubmitAgain(Draws& draws);
  void SubmitChanged(Draws& draws);  // the same id, another body
  void Cancel(Draws& draws);
  void Wait(Draws& draws);
  void Get(Draws& draws);
  void List(Draws& draws);
  void Adopt(Draws& draws, const std::string& new_owner);
  void Renew(Draws& draws);
  void Abandon(Draws& draws);
  void SetDrain(bool on);
  bool draining() const { return drain_; }

  // Somebody saw this task.
  void Told(const v1::Task& task);
  // The daemon's past is another one: a backup was restored.
  void Forget();
  const std::vector<SubmissionPtr>& all() const { return submissions_; }
  const Submission* FindById(const std::string& id) const;

 private:
  void Send(const SubmissionPtr& submission, bool changed);
  void OnSubmitted(Submission& submission, const v1::SubmitResult& result);
  void OnCancelled(Submission& submission, const v1::CancelResult& result);
  bool IsLongAgo(const Submission& submission) const;
  void DrawCommand(Draws& draws, Submission& submission);
  void DrawSpec(Draws& draws, Submission& submission);
  asio::awaitable<void> ListAll(int32_t page_size);
  void CheckList(const std::vector<std::string>& listed, const std::vector<SubmissionPtr>& known);
  SubmissionPtr Any(Draws& draws) const;
  SubmissionPtr AnyKnown(Draws& draws) const;

  const Plan& plan_;
  World& world_;
  Life& life_;
  Durable& durable_;
  Trace& trace_;
  std::vector<SubmissionPtr> submissions_;
  std::map<std::string, SubmissionPtr> by_uuid_;
  std::map<std::string, SubmissionPtr> by_id_;
  bool drain_ = false;
  int64_t drain_calls_ = 0;
};

}  // namespace boxkeeper::sim
