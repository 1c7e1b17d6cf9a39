// What becomes of the tasks' output: the real puller on the faulty disk, and a check that every
// byte arrives (I8).
#pragma once

#include <map>
#include <memory>
#include <set>
#include <string>

#include "base/clock.h"
#include "base/task_group.h"
#include "base/testing/faulty_file_system.h"
#include "daemon/core/log_port.h"
#include "logs/output_puller.h"
#include "tests/sim/draws.h"
#include "tests/sim/trace.h"

namespace boxkeeper::sim {

// In the place of the log adapter: fetches as it does, and instead of shipping to a store compares
// what is spooled with what the fake clouds print. Some time later it calls the log stored, so that
// crashes find logs that are not. One for each life of the daemon; the spool outlives it.
class Output final : public daemon::LogPort {
 public:
  static constexpr char kSpoolDir[] = "/spool";

  struct Deps {
    base::Clock& clock;
    base::Rng& rng;
    base::FaultyFileSystem& disk;
    boost::asio::any_io_executor executor;
    Trace& trace;
    daemon::LogEvents& events;
    // Ids of compacted tasks, over all lives: a restored backup may know one again, whose spool is
    // gone.
    std::set<std::string>& forgotten;
    // Ids of tasks whose exit record the log store has.
    std::set<std::string>& recorded;
    // Of a task whose end is durable: it tells that some of its output is missing.
    std::function<bool(const std::string& id)> told_incomplete;
  };
  Output(Deps deps, uint64_t seed);

  boost::asio::awaitable<absl::StatusOr<provider::v1::SpoolPaths>> PrepareSpool(
      base::TaskId id) override;
  void Pull(const base::TaskId& id, daemon::OutputSource source) override;
  boost::asio::awaitable<daemon::DrainedOutput> Drain(base::TaskId id, daemon::OutputSource source,
                                                      daemon::OutputEnd end) override;
  void Hurry(const base::TaskId& id) override { puller_.Hurry(id); }
  void Track(daemon::LogTask task) override;
  void NoteEnd(const base::TaskId& id, daemon::LogEnd end) override;
  void Forget(const base::TaskId& id) override;
  std::string LogPath(const daemon::LogTask& task) const override { return task.id.ToString(); }
  absl::StatusOr<std::unique_ptr<daemon::LogStream>> Open(
      const base::TaskId& id,
      std::function<boost::asio::awaitable<absl::StatusOr<daemon::LogTask>>()> describe,
      std::function<daemon::LogEnd()> end, v1::ReadLogRequest request) override;
  boost::asio::awaitable<absl::StatusOr<v1::OutputsStatus>> ListArtifacts(base::TaskId id,
                                                                          bool complete) override;
  std::unique_ptr<daemon::ArtifactStream> OpenArtifact(base::TaskId id, bool complete,
                                                       v1::ReadArtifactRequest request) override;

 private:
  logs::PullJob MakeJob(const base::TaskId& id, daemon::OutputSource source) const;
  // Bytes [0, size) of the stream are in the spool, and are the right ones.
  void CheckStream(const base::TaskId& id, logs::Stream stream, int64_t size);
  boost::asio::awaitable<void> Store(base::TaskId id, int64_t generation, daemon::LogEnd end);

  const Deps deps_;
  Draws draws_;
  std::map<std::string, int64_t> generations_;  // of tracked tasks, by id
  logs::OutputPuller puller_;
  base::TaskGroup group_;
};

}  // namespace boxkeeper::sim
