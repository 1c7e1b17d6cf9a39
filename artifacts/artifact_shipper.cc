#include "artifacts/artifact_shipper.h"

#include <utility>

#include "absl/container/flat_hash_map.h"
#include "artifacts/spooled_outputs.h"
#include "base/backoff.h"
#include "base/fault_points.h"
#include "base/log.h"
#include "base/run_on.h"
#include "base/sha256.h"
#include "base/slots.h"
#include "base/status_macros.h"
#include "base/task_group.h"

namespace boxkeeper::artifacts {

namespace asio = boost::asio;
using asio::awaitable;

namespace {

// Each is a row of memory: whoever ends waits for a place here, not for anything else.
constexpr size_t kWaitingMax = 1'000'000;

class TextSource final : public logs::PieceSource {
 public:
  explicit TextSource(std::string text) : text_(std::move(text)) {}
  absl::StatusOr<std::string> Next() override { return std::exchange(text_, {}); }

 private:
  std::string text_;
};

logs::Piece TextPiece(std::string name, const std::string& text) {
  return {.name = std::move(name),
          .size = text.size(),
          .sha256 = base::Sha256(text),
          .open = [text]() -> absl::StatusOr<std::unique_ptr<logs::PieceSource>> {
            return std::make_unique<TextSource>(text);
          }};
}

}  // namespace

class ArtifactShipper::Impl : public std::enable_shared_from_this<Impl> {
 public:
  Impl(Deps deps, ArtifactShipperOptions options)
      : deps_(std::move(deps)),
        options_(options),
        slots_(deps_.clock, options.concurrency, kWaitingMax),
        group_(deps_.clock, deps_.loop) {}

  void Ship(const base::TaskId& task, const std::string& manifest_path) {
    auto job = std::make_shared<Job>(Job{.task = task, .manifest_path = manifest_path});
    if (!jobs_.try_emplace(task, job).second) return;
    group_.Spawn(task.ToString(), [self = shared_from_this(), job] { return self->Run(job); });
  }

  void Forget(const base::TaskId& task) {
    const auto found = jobs_.find(task);
    if (found == jobs_.end()) return;
    const std::shared_ptr<Job> job = found->second;
    job->forgotten = true;
    Remove(*job);
  }

  ArtifactShipperStatus status() const {
    ArtifactShipperStatus status = status_;
    status.pending = jobs_.size();
    return status;
  }

  // What is in flight ends, and tells nobody.
  void Abandon() { stopping_ = true; }

  awaitable<absl::Status> Stop(base::BootTime deadline) {
    Abandon();
    group_.Cancel();
    co_return co_await group_.Join(deadline);
  }

 private:
  struct Job {
    base::TaskId task;
    std::string manifest_path;
    size_t next = 0;  // file to be stored; what is before it is
    int failures = 0;
    bool forgotten = false;
  };

  bool GoesOn(const Job& job) const { return !stopping_ && !job.forgotten; }

  void Remove(Job& job) {
    if (job.failures > 0) --status_.failing;
    job.failures = 0;
    jobs_.erase(job.task);
  }

  awaitable<void> Run(std::shared_ptr<Job> job) {
    while (GoesOn(*job)) {
      absl::Status stored = co_await Attempt(job);
      if (!GoesOn(*job)) co_return;
      if (stored.ok()) {
        status_.last_error.clear();
        const base::TaskId task = job->task;
        Remove(*job);
        deps_.on_stored(task);
        co_return;
      }
      absl::Status slept =
          co_await deps_.clock.SleepUntil(deps_.clock.Boot() + Failed(*job, stored));
      if (!slept.ok()) co_return;
    }
  }

  // How long to wait before the next attempt.
  base::BootClock::duration Failed(Job& job, const absl::Status& error) {
    if (job.failures++ == 0) ++status_.failing;
    status_.last_error = std::string(error.message());
    base::LogWarning("outputs not stored, will try again",
                     {{"task_id", job.task.ToString()}, {"error", error}});
    const base::BackoffOptions backoff{.initial = options_.retry_initial,
                                       .max = options_.retry_max};
    return base::BackoffFor(backoff, job.failures - 1, deps_.rng);
  }

  awaitable<absl::Status> Attempt(std::shared_ptr<Job> job) {
    auto slot = co_await slots_.Acquire(base::BootTime::max());
    CO_RETURN_IF_ERROR(slot.status());
    auto read = [files = &deps_.files, path = job->manifest_path] {
      return ReadManifest(*files, path);
    };
    auto manifest = co_await base::RunOn(deps_.pool, std::move(read));
    CO_RETURN_IF_ERROR(manifest.status());
    if (!manifest->has_value()) co_return absl::OkStatus();
    const std::vector<base::CollectedFile>& files = (*manifest)->files;
    while (GoesOn(*job) && job->next < files.size()) {
      const base::CollectedFile& file = files[job->next];
      logs::Piece piece;
      piece.name = ArtifactObject(job->task, job->next, file.path);
      piece.size = file.size;
      piece.sha256 = file.sha256;
      piece.open = OpenArtifact(deps_.files, job->manifest_path, file);
      base::Failpoint("artifact.before_put");
      absl::Status put = co_await deps_.store.Put(std::move(piece));
      CO_RETURN_IF_ERROR(put);
      base::Failpoint("artifact.after_put");
      ++job->next;
      ++status_.stored_files;
      status_.stored_bytes += file.size;
    }
    if (!GoesOn(*job)) co_return absl::CancelledError("not wanted any more");
    // Last, so that it tells only of what is there.
    const std::string text = PrintOutputs(DescribeOutputs(job->task, **manifest));
    logs::Piece piece = TextPiece(ManifestObject(job->task), text);
    absl::Status put = co_await deps_.store.Put(std::move(piece));
    CO_RETURN_IF_ERROR(put);
    base::Failpoint("artifact.manifest_stored");
    co_return absl::OkStatus();
  }

  const Deps deps_;
  const ArtifactShipperOptions options_;
  base::Slots slots_;
  absl::flat_hash_map<base::TaskId, std::shared_ptr<Job>> jobs_;
  ArtifactShipperStatus status_;
  bool stopping_ = false;
  base::TaskGroup group_;
};

ArtifactShipper::ArtifactShipper(Deps deps, ArtifactShipperOptions options)
    : impl_(std::make_shared<Impl>(std::move(deps), options)) {}
ArtifactShipper::~ArtifactShipper() { impl_->Abandon(); }

void ArtifactShipper::Ship(const base::TaskId& task, const std::string& manifest_path) {
  impl_->Ship(task, manifest_path);
}
void ArtifactShipper::Forget(const base::TaskId& task) { impl_->Forget(task); }
ArtifactShipperStatus ArtifactShipper::status() const { return impl_->status(); }
awaitable<absl::Status> ArtifactShipper::Stop(base::BootTime deadline) {
  co_return co_await impl_->Stop(deadline);
}

}  // namespace boxkeeper::artifacts
