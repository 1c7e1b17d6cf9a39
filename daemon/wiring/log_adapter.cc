#include "daemon/wiring/log_adapter.h"

#include <algorithm>
#include <boost/asio/post.hpp>
#include <chrono>
#include <filesystem>
#include <utility>

#include "absl/strings/str_cat.h"
#include "artifacts/spooled_outputs.h"
#include "base/log.h"
#include "base/run_on.h"
#include "daemon/api/api_error.h"
#include "daemon/wiring/spool_artifact_stream.h"
#include "daemon/wiring/spool_log_stream.h"
#include "daemon/wiring/unstored_log_stream.h"
#include "logs/log_path.h"
#include "logs/redactor.h"

namespace boxkeeper::daemon {

using boost::asio::awaitable;

namespace {

using std::chrono::seconds;

constexpr seconds kSpoolLookInterval{2};
// Commands may wait.
constexpr std::chrono::milliseconds kPressedLookInterval{250};
constexpr int kSpoolLookPart = 20;

// Size of a file now; 0 if there is none.
int64_t SizeOf(const std::string& path) {
  std::error_code error;
  const auto size = std::filesystem::file_size(path, error);
  return error ? 0 : static_cast<int64_t>(size);
}

std::vector<logs::Stream> StreamsOf(const v1::LogSpec& spec) {
  std::vector<logs::Stream> streams;
  for (const std::string& name : spec.streams()) {
    if (auto stream = logs::ParseStream(name)) streams.push_back(*stream);
  }
  if (streams.empty()) streams = {logs::Stream::kStdout, logs::Stream::kStderr};
  return streams;
}

}  // namespace

LogAdapter::LogAdapter(LogAdapterDeps deps, LogAdapterOptions options)
    : deps_(std::move(deps)),
      options_(std::move(options)),
      folders_(std::make_shared<logs::SpoolFolders>(options_.spool_dir)),
      bound_(std::make_shared<logs::SpoolBound>(folders_)),
      look_(deps_.clock.NewAlarm(deps_.loop)),
      group_(deps_.clock, deps_.loop),
      growth_({deps_.clock, deps_.files, deps_.loop, deps_.pool}),
      reader_({deps_.files, deps_.store, deps_.pool}),
      artifact_reader_({deps_.files, deps_.store, deps_.pool}),
      artifacts_({.clock = deps_.clock,
                  .rng = deps_.rng,
                  .files = deps_.files,
                  .store = deps_.store,
                  .loop = deps_.loop,
                  .pool = deps_.pool,
                  .on_stored = [this](base::TaskId id) { shipper_.Release(id); }},
                 {}),
      shipper_({.clock = deps_.clock,
                .rng = deps_.rng,
                .files = deps_.files,
                .store = deps_.store,
                .journal = *this,
                .loop = deps_.loop,
                .pool = deps_.pool,
                .on_complete = [this](base::TaskId id) { OnStored(id); },
                .on_journal_error = deps_.fatal},
               options_.shipper),
      puller_({.clock = deps_.clock,
               .rng = deps_.rng,
               .files = deps_.files,
               .loop = deps_.loop,
               .pool = deps_.pool,
               .on_growth = [this](const base::TaskId& id) { growth_.Wake(id.ToString()); }},
              options_.puller) {
  LookAtSpoolAt(deps_.clock.Boot() + kSpoolLookInterval);
}

LogAdapter::~LogAdapter() = default;

void LogAdapter::OnStored(const base::TaskId& id) {
  const auto found = generations_.find(id);
  if (found == generations_.end()) return;
  const int64_t generation = found->second;
  generations_.erase(found);
  with_outputs_.erase(id);
  boost::asio::post(deps_.pool,
                    [bound = bound_, name = id.ToString()] { bound->MarkStored(name); });
  deps_.events.LogComplete(generation);
}

void LogAdapter::LookAtSpoolAt(base::BootTime due) {
  if (stopping_ || options_.spool_max_bytes <= 0) return;
  look_->Set(due, [this] { group_.Spawn("spool", [this] { return LookAtSpool(); }); });
}

awaitable<void> LogAdapter::LookAtSpool() {
  const base::BootTime begin = deps_.clock.Boot();
  const auto max_bytes = static_cast<uint64_t>(options_.spool_max_bytes);
  absl::StatusOr<logs::SpoolUsage> usage = co_await base::RunOn(
      deps_.pool, [bound = bound_, max_bytes] { return bound->Enforce(max_bytes); });
  if (usage.ok()) {
    if (usage->full && !usage_.full) {
      base::LogWarning("the spool is full", {{"bytes", usage->bytes}, {"max_bytes", max_bytes}});
    }
    usage_ = *usage;
    shipper_.SetSpoolPressed(usage->pressed);
    deps_.metrics.spool_bytes = usage->bytes;
    deps_.metrics.spool_full = usage->full;
    deps_.metrics.spools_dropped += usage->dropped;
  } else if (!absl::IsNotFound(usage.status())) {
    base::LogWarning("cannot look at the spool", {{"error", usage.status()}});
  }
  const base::BootTime now = deps_.clock.Boot();
  // A large spool takes long to look at: no more than a small part of one thread.
  const base::BootTime::duration interval =
      usage_.pressed ? kPressedLookInterval : kSpoolLookInterval;
  LookAtSpoolAt(now + std::max(interval, (now - begin) * kSpoolLookPart));
}

std::string LogAdapter::SpoolWarning() const {
  const logs::ShipperStatus shipped = shipper_.status();
  // One that the store keeps up with is held for moments, which is nothing to warn of.
  if (!usage_.full && shipped.held > 0 && shipped.failing > 0) {
    return absl::StrCat("output of ", shipped.held,
                        " running tasks is not read until the log store has taken some of it");
  }
  if (!usage_.full) return "";
  const bool block = options_.overflow == provider::v1::SpoolPaths::BLOCK;
  return absl::StrCat(
      "the spool ", options_.spool_dir, " is full (", usage_.bytes, " of ",
      options_.spool_max_bytes, " bytes), and no log in it is stored yet: ",
      block ? "output is not read until there is room" : "the middle of further output is dropped");
}

std::string LogAdapter::Directory(const base::TaskId& id) const {
  return options_.spool_dir + "/" + id.ToString();
}

std::string LogAdapter::OutputsPath(const base::TaskId& id) const {
  return artifacts::ManifestPath(Directory(id));
}

logs::SpoolFiles LogAdapter::Files(const base::TaskId& id) const {
  return logs::SpoolFiles(Directory(id));
}

logs::Layout LogAdapter::LayoutOf(const LogTask& task) const {
  return logs::ParseLayout(task.spec.layout()).value_or(options_.layout);
}

std::shared_ptr<const logs::Redactor> LogAdapter::RedactorOf(const LogTask& task) const {
  if (!options_.redact || task.secrets.empty()) return nullptr;
  return std::make_shared<const logs::Redactor>(task.secrets);
}

awaitable<absl::StatusOr<provider::v1::SpoolPaths>> LogAdapter::PrepareSpool(base::TaskId id) {
  if (!folders_->HasNone()) {
    const absl::Status provided = co_await base::RunOn(
        deps_.pool, [folders = folders_, name = id.ToString()] { return folders->Provide(name); });
    if (!provided.ok()) co_return provided;
  }
  const logs::SpoolFiles files = Files(id);
  provider::v1::SpoolPaths paths;
  paths.set_stdout_path(files.stdout_path());
  paths.set_stderr_path(files.stderr_path());
  paths.set_index_path(files.index_path());
  paths.set_max_bytes(options_.max_bytes_per_task);
  paths.set_overflow(options_.overflow);
  paths.set_outputs_path(OutputsPath(id));
  paths.set_outputs_max_files(options_.outputs_max_files);
  paths.set_outputs_max_bytes(options_.outputs_max_bytes);
  const auto timeout_ms = options_.outputs_timeout.count();
  paths.mutable_outputs_timeout()->set_seconds(timeout_ms / 1000);
  paths.mutable_outputs_timeout()->set_nanos(static_cast<int32_t>(timeout_ms % 1000 * 1'000'000));
  co_return paths;
}

logs::PullJob LogAdapter::MakePullJob(const base::TaskId& id, OutputSource source) const {
  logs::PullJob job;
  job.task = id;
  job.spool = Files(id);
  job.limit.bytes_max = static_cast<uint64_t>(options_.max_bytes_per_task);
  job.limit.block = options_.overflow == provider::v1::SpoolPaths::BLOCK;
  job.live = source.live;
  job.read = [read = std::move(source.read)](
                 logs::Stream stream, uint64_t offset, size_t max_bytes,
                 base::BootTime deadline) -> awaitable<absl::StatusOr<logs::PulledChunk>> {
    const auto from = static_cast<int64_t>(offset);
    absl::StatusOr<provider::v1::OutputChunk> answer = co_await read(
        std::string(logs::StreamName(stream)), from, static_cast<int64_t>(max_bytes), deadline);
    if (!answer.ok()) co_return answer.status();
    if (answer->offset() != from) co_return absl::InternalError("output of another offset");
    logs::PulledChunk chunk;
    chunk.data = std::move(*answer->mutable_data());
    chunk.end = answer->end();
    co_return chunk;
  };
  return job;
}

void LogAdapter::Pull(const base::TaskId& id, OutputSource source) {
  puller_.Pull(MakePullJob(id, std::move(source)));
}

awaitable<DrainedOutput> LogAdapter::Drain(base::TaskId id, OutputSource source, OutputEnd end) {
  logs::PullEnd known;
  constexpr int64_t kNone = 0;
  if (end.stdout_bytes) known.stdout_bytes = std::max(kNone, *end.stdout_bytes);
  if (end.stderr_bytes) known.stderr_bytes = std::max(kNone, *end.stderr_bytes);
  known.gone = end.gone;
  logs::PullJob job = MakePullJob(id, std::move(source));
  const logs::PulledOutput pulled = co_await puller_.Drain(std::move(job), known);
  DrainedOutput output;
  output.stdout_bytes = static_cast<int64_t>(pulled.stdout_bytes);
  output.stderr_bytes = static_cast<int64_t>(pulled.stderr_bytes);
  output.dropped_bytes = static_cast<int64_t>(pulled.dropped_bytes);
  if (!pulled.complete) output.incomplete = pulled.why.empty() ? "not fetched" : pulled.why;
  co_return output;
}

void LogAdapter::Hurry(const base::TaskId& id) { puller_.Hurry(id); }

void LogAdapter::Track(LogTask task) {
  generations_[task.id] = task.generation;
  if (task.has_outputs) with_outputs_.insert(task.id);
  logs::ShipJob job;
  job.task = task.id;
  job.generation = task.generation;
  job.spool = Files(task.id);
  job.layout = LayoutOf(task);
  job.path = LogPath(task);
  job.streams = StreamsOf(task.spec);
  job.redactor = RedactorOf(task);
  job.frees_stored = options_.overflow == provider::v1::SpoolPaths::BLOCK;
  job.spool_bytes_max = static_cast<uint64_t>(options_.max_bytes_per_task);
  job.accepted_at_ms = task.accepted_at_ms;
  job.resume = std::move(task.records);
  shipper_.Track(std::move(job));
}

void LogAdapter::NoteEnd(const base::TaskId& id, LogEnd end) {
  puller_.Forget(id);
  // Of a lost task nobody attested the sizes: what was spooled is what there is.
  const logs::SpoolFiles files = Files(id);
  logs::LogEnd known;
  known.stdout_bytes =
      static_cast<uint64_t>(std::max(end.stdout_bytes, SizeOf(files.stdout_path())));
  known.stderr_bytes =
      static_cast<uint64_t>(std::max(end.stderr_bytes, SizeOf(files.stderr_path())));
  known.dropped_bytes = static_cast<uint64_t>(end.dropped_bytes);
  known.unattested = end.unattested;
  known.note = NoteOf(end);
  known.held = with_outputs_.contains(id);
  if (known.held) {
    known.exit_record = [files = &deps_.files, id, path = OutputsPath(id),
                         print = std::move(end.exit_record)] {
      const auto manifest = artifacts::ReadManifest(*files, path);
      if (!manifest.ok() || !manifest->has_value()) return print(nullptr);
      const v1::OutputsStatus outputs = artifacts::DescribeOutputs(id, **manifest);
      return print(&outputs);
    };
  } else if (end.exit_record) {
    known.exit_record = [print = std::move(end.exit_record)] { return print(nullptr); };
  }
  const bool held = known.held;
  if (generations_.contains(id)) deps_.metrics.log_bytes_dropped += known.dropped_bytes;
  shipper_.NoteEnd(id, std::move(known));
  if (held) artifacts_.Ship(id, OutputsPath(id));
  growth_.Wake(id.ToString());
}

void LogAdapter::Forget(const base::TaskId& id) {
  generations_.erase(id);
  with_outputs_.erase(id);
  artifacts_.Forget(id);
  puller_.Forget(id);
  shipper_.Forget(id);
  for (OpenLogStream* stream : streams_) stream->Forget(id);
  growth_.Wake(id.ToString());
  boost::asio::post(deps_.pool,
                    [folders = folders_, name = id.ToString()] { folders->Drop(name); });
}

std::string LogAdapter::LogPath(const LogTask& task) const {
  return task.spec.path().empty() ? logs::DefaultLogPath(task.key, task.id) : task.spec.path();
}

logs::EndNotePtr LogAdapter::NoteOf(const LogEnd& end) {
  if (end.why.empty()) return nullptr;
  return std::make_shared<const logs::EndNote>(
      logs::EndNote{.time_ms = end.ended_at_ms, .reason = end.reason, .text = end.why});
}

logs::UnstoredSource LogAdapter::UnstoredOf(const LogTask& task) const {
  const std::vector<logs::Stream> streams = StreamsOf(task.spec);
  const auto wants = [&streams](logs::Stream stream) {
    return std::find(streams.begin(), streams.end(), stream) != streams.end();
  };
  return {.spool = Files(task.id),
          .with_stdout = wants(logs::Stream::kStdout),
          .with_stderr = wants(logs::Stream::kStderr),
          .redactor = RedactorOf(task),
          .accepted_at_ms = task.accepted_at_ms};
}

absl::StatusOr<std::unique_ptr<LogStream>> LogAdapter::Open(
    const base::TaskId& id, std::function<awaitable<absl::StatusOr<LogTask>>()> describe,
    std::function<LogEnd()> end, v1::ReadLogRequest request) {
  if (request.from_case() == v1::ReadLogRequest::kUnstored) {
    return std::make_unique<UnstoredLogStream>(*this, id, std::move(describe), std::move(end),
                                               std::move(request));
  }
  return std::make_unique<SpoolLogStream>(*this, id, std::move(describe), std::move(end),
                                          std::move(request));
}

awaitable<absl::StatusOr<v1::OutputsStatus>> LogAdapter::ListArtifacts(base::TaskId id,
                                                                       bool complete) {
  return artifact_reader_.List({id, OutputsPath(id), complete});
}

std::unique_ptr<ArtifactStream> LogAdapter::OpenArtifact(base::TaskId id, bool complete,
                                                         v1::ReadArtifactRequest request) {
  return std::make_unique<SpoolArtifactStream>(
      artifact_reader_, artifacts::ArtifactSource{id, OutputsPath(id), complete},
      std::move(request));
}

void LogAdapter::SetOptions(LogAdapterOptions options) {
  options.spool_dir = options_.spool_dir;
  options_ = std::move(options);
  shipper_.SetOptions(options_.shipper);
  puller_.SetOptions(options_.puller);
}

void LogAdapter::RefreshMetrics() {
  const logs::ShipperStatus status = shipper_.status();
  deps_.metrics.log_bytes_stored = status.stored_bytes;
  deps_.metrics.log_bytes_waiting = status.backlog_bytes;
  deps_.metrics.log_store_failures = status.store_failures;
  deps_.metrics.log_redactions = status.redacted;
  deps_.metrics.log_held_tasks = status.held;
}

awaitable<absl::Status> LogAdapter::Stop(base::BootTime deadline) {
  growth_.Stop();
  stopping_ = true;
  look_->Cancel();
  const absl::Status fetched = co_await puller_.Stop(deadline);
  const absl::Status looked = co_await group_.Join(deadline);
  const absl::Status outputs = co_await artifacts_.Stop(deadline);
  const absl::Status shipped = co_await shipper_.Stop(deadline);
  if (!shipped.ok()) co_return shipped;
  if (!outputs.ok()) co_return outputs;
  co_return looked.ok() ? fetched : looked;
}

awaitable<absl::Status> LogAdapter::Record(store::v1::LogRecord record) {
  const absl::Status recorded = co_await deps_.events.RecordLog(std::move(record));
  // The task was compacted meanwhile: nobody will ask for this record, and Forget is on its way.
  if (absl::IsNotFound(recorded)) co_return absl::OkStatus();
  co_return recorded;
}

}  // namespace boxkeeper::daemon
