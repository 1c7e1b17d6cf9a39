#include "daemon/core/journal.h"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <utility>

#include "base/fault_points.h"

namespace boxkeeper::daemon {
namespace asio = boost::asio;
namespace {

// How long a batch waits before it is tried again on a full disk. Short: the ballast is freed at
// the first failure.
constexpr std::chrono::milliseconds kNoSpaceRetry{250};

}  // namespace

Journal::Journal(asio::any_io_executor executor, base::Clock& clock, store::TaskStore& store,
                 std::function<void(absl::Status)> fatal)
    : executor_(std::move(executor)), clock_(clock), store_(store), fatal_(std::move(fatal)) {}

void Journal::StartAfter(store::Position last) {
  next_ = last + 1;
  synced_ = last;
}

store::Position Journal::Append(const store::v1::Record& record) {
  return AppendEncoded(record.SerializeAsString());
}

store::Position Journal::AppendEncoded(std::string record) {
  const store::Position position = next_++;
  open_.batch.puts.push_back({position, std::move(record)});
  open_.last = position;
  ++stats_.records;
  Kick();
  return position;
}

void Journal::Delete(store::Position position) {
  open_.batch.deletes.push_back(position);
  Kick();
}

void Journal::WhenSynced(std::function<void()> output) {
  open_.outputs.push_back(std::move(output));
  Kick();
}

asio::awaitable<void> Journal::Synced() {
  if (!running_ && open_.batch.empty() && open_.outputs.empty()) co_return;
  auto initiate = [this](auto handler) {
    auto shared = std::make_shared<decltype(handler)>(std::move(handler));
    auto resume = [shared] { std::move (*shared)(); };
    WhenSynced(std::move(resume));
  };
  co_await asio::async_initiate<const asio::use_awaitable_t<>&, void()>(std::move(initiate),
                                                                        asio::use_awaitable);
}

// The commit loop starts by a post, so that everything the present handler appends shares one
// batch.
void Journal::Kick() {
  if (running_ || failed_) return;
  running_ = true;
  asio::co_spawn(executor_, CommitLoop(), asio::detached);
}

asio::awaitable<void> Journal::CommitLoop() {
  auto executor = co_await asio::this_coro::executor;
  co_await asio::post(executor, asio::use_awaitable);
  while (!open_.batch.empty() || !open_.outputs.empty()) {
    Pending pending = std::exchange(open_, Pending{});
    ++open_batch_;
    if (base::Mutated("answer_before_sync")) {
      for (auto& output : std::exchange(pending.outputs, {})) output();
    }
    if (!pending.batch.empty()) {
      base::Failpoint("batch.taken");
      absl::Status status = co_await CommitUntilSpace(pending.batch);
      base::Failpoint("batch.committed");
      if (!status.ok() && !base::Mutated("failed_commit_ignored")) {
        failed_ = true;
        fatal_(std::move(status));
        co_return;
      }
      ++stats_.batches;
      if (pending.last > synced_) synced_ = pending.last;
    }
    for (auto& output : pending.outputs) output();
  }
  running_ = false;
}

asio::awaitable<absl::Status> Journal::CommitUntilSpace(const store::Batch& batch) {
  while (true) {
    absl::Status status = co_await store_.Commit(batch);
    out_of_space_ = absl::IsResourceExhausted(status);
    if (out_of_space_ && base::Mutated("full_disk_drops_batch")) co_return absl::OkStatus();
    if (!out_of_space_) co_return status;
    ++stats_.retries_no_space;
    absl::Status slept = co_await clock_.SleepUntil(clock_.Boot() + kNoSpaceRetry);
    if (!slept.ok()) co_return slept;
  }
}

}  // namespace boxkeeper::daemon
