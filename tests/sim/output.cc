#include "tests/sim/output.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "providers/testing/fake_world.h"

namespace boxkeeper::sim {

using boost::asio::awaitable;

Output::Output(Deps deps, uint64_t seed)
    : deps_(deps),
      draws_(seed),
      puller_({.clock = deps.clock,
               .rng = deps.rng,
               .files = deps.disk,
               .loop = deps.executor,
               .pool = deps.executor,
               .on_growth = nullptr},
              {}),
      group_(deps.clock, deps.executor) {
  // The directory is the world's, and is there; a full disk makes nothing anew.
  (void)deps_.disk.MakeDirectories(kSpoolDir, 0700);
  deps_.disk.ForgetAtFailedSync(kSpoolDir);
}

awaitable<absl::StatusOr<provider::v1::SpoolPaths>> Output::PrepareSpool(base::TaskId id) {
  co_return provider::v1::SpoolPaths();
}

logs::PullJob Output::MakeJob(const base::TaskId& id, daemon::OutputSource source) const {
  logs::PullJob job;
  job.task = id;
  job.spool = logs::SpoolFiles(absl::StrCat(kSpoolDir, "/", id.ToString()));
  job.live = source.live;
  job.read = [read = std::move(source.read)](
                 logs::Stream stream, uint64_t offset, size_t max_bytes,
                 base::BootTime deadline) -> awaitable<absl::StatusOr<logs::PulledChunk>> {
    absl::StatusOr<provider::v1::OutputChunk> answer =
        co_await read(std::string(logs::StreamName(stream)), static_cast<int64_t>(offset),
                      static_cast<int64_t>(max_bytes), deadline);
    if (!answer.ok()) co_return answer.status();
    logs::PulledChunk chunk;
    chunk.data = std::move(*answer->mutable_data());
    chunk.end = answer->end();
    co_return chunk;
  };
  return job;
}

void Output::Pull(const base::TaskId& id, daemon::OutputSource source) {
  puller_.Pull(MakeJob(id, std::move(source)));
}

awaitable<daemon::DrainedOutput> Output::Drain(base::TaskId id, daemon::OutputSource source,
                                               daemon::OutputEnd end) {
  logs::PullEnd known;
  if (end.stdout_bytes) known.stdout_bytes = static_cast<uint64_t>(*end.stdout_bytes);
  if (end.stderr_bytes) known.stderr_bytes = static_cast<uint64_t>(*end.stderr_bytes);
  known.gone = end.gone;
  logs::PullJob job = MakeJob(id, std::move(source));
  const logs::PulledOutput pulled = co_await puller_.Drain(std::move(job), known);
  daemon::DrainedOutput output;
  output.stdout_bytes = static_cast<int64_t>(pulled.stdout_bytes);
  output.stderr_bytes = static_cast<int64_t>(pulled.stderr_bytes);
  if (!pulled.complete) output.incomplete = pulled.why.empty() ? "not fetched" : pulled.why;
  const bool attested = end.stdout_bytes.has_value() && pulled.stdout_bytes > 0;
  if (pulled.complete && attested) deps_.trace.Sometimes("output fetched");
  if (!pulled.complete) {
    deps_.trace.Sometimes(end.gone ? "output of a vanished sandbox" : "output given up");
  }
  co_return output;
}

void Output::Track(daemon::LogTask task) { generations_[task.id.ToString()] = task.generation; }

// The end is durable: so is the output that it tells of, whatever becomes of the sandbox now.
void Output::NoteEnd(const base::TaskId& id, daemon::LogEnd end) {
  puller_.Forget(id);
  CheckStream(id, logs::Stream::kStdout, end.stdout_bytes);
  CheckStream(id, logs::Stream::kStderr, end.stderr_bytes);
  const auto found = generations_.find(id.ToString());
  if (found == generations_.end()) return;
  const int64_t generation = found->second;
  generations_.erase(found);
  group_.Spawn(id.ToString(), [this, id, generation, end] { return Store(id, generation, end); });
}

awaitable<void> Output::Store(base::TaskId id, int64_t generation, daemon::LogEnd end) {
  const absl::Status slept =
      co_await deps_.clock.SleepUntil(deps_.clock.Boot() + draws_.Wide(1, 5'000));
  if (!slept.ok()) co_return;
  CheckStream(id, logs::Stream::kStdout, end.stdout_bytes);
  if (end.exit_record) deps_.recorded.insert(id.ToString());
  store::v1::LogRecord record;
  record.set_generation(generation);
  record.set_complete(true);
  const absl::Status recorded = co_await deps_.events.RecordLog(std::move(record));
  if (recorded.ok()) deps_.events.LogComplete(generation);
}

void Output::CheckStream(const base::TaskId& id, logs::Stream stream, int64_t size) {
  // Where the disk refused to sync, the end says so.
  if (deps_.forgotten.contains(id.ToString()) || deps_.told_incomplete(id.ToString())) return;
  const std::string path =
      absl::StrCat(kSpoolDir, "/", id.ToString(), "/", std::string(logs::StreamName(stream)));
  const std::string spooled = deps_.disk.Content(path).value_or("");
  for (int64_t i = 0; i < size; ++i) {
    const auto at = static_cast<size_t>(i);
    if (at < spooled.size() && spooled[at] == providers::testing::OutputByte(i)) continue;
    deps_.trace.Fail("I8", absl::StrCat(path, ": byte ", i, " of ", size,
                                        at < spooled.size() ? " is another" : " is not there"));
    return;
  }
}

void Output::Forget(const base::TaskId& id) {
  generations_.erase(id.ToString());
  deps_.forgotten.insert(id.ToString());
  puller_.Forget(id);
  for (const char* file : {"/stdout", "/stderr", "/index"}) {
    (void)deps_.disk.Remove(absl::StrCat(kSpoolDir, "/", id.ToString(), file));
  }
}

absl::StatusOr<std::unique_ptr<daemon::LogStream>> Output::Open(
    const base::TaskId& id, std::function<awaitable<absl::StatusOr<daemon::LogTask>>()> describe,
    std::function<daemon::LogEnd()> end, v1::ReadLogRequest request) {
  return absl::UnimplementedError("nobody reads logs in the simulation");
}

awaitable<absl::StatusOr<v1::OutputsStatus>> Output::ListArtifacts(base::TaskId id, bool complete) {
  co_return absl::UnimplementedError("no task of the simulation asks for outputs");
}

std::unique_ptr<daemon::ArtifactStream> Output::OpenArtifact(base::TaskId id, bool complete,
                                                             v1::ReadArtifactRequest request) {
  return nullptr;
}

}  // namespace boxkeeper::sim
