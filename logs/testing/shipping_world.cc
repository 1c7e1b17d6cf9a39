#include "logs/testing/shipping_world.h"

#include <utility>

#include "base/check.h"
#include "logs/log_path.h"

namespace boxkeeper::logs {

ShippingWorld::ShippingWorld(StoreKind store_kind) : kind(store_kind) { task.id.bytes[0] = 7; }

ShipJob ShippingWorld::Job(Layout layout) const {
  ShipJob job;
  job.task = task;
  job.generation = 42;
  job.spool = writer.spool();
  job.layout = layout;
  job.path = "dag/run/attempt=1.log";
  job.accepted_at_ms = 1'767'225'600'000;
  job.resume = journal.records;
  return job;
}

LogEnd ShippingWorld::End() const {
  return {.stdout_bytes = writer.size(Stream::kStdout),
          .stderr_bytes = writer.size(Stream::kStderr),
          .dropped_bytes = 0,
          .exit_record = [] { return std::string("{\"exit_code\":0}"); },
          .note = note};
}

std::vector<std::string> ShippingWorld::Objects(const std::string& prefix) {
  std::vector<std::string> contents;
  if (kind == StoreKind::kPieces) {
    for (const std::string& name : memory.Names()) {
      if (name.starts_with(prefix)) contents.push_back(*memory.Content(name));
    }
    return contents;
  }
  const std::string path = "/logs/" + prefix;
  const std::string folder = path.substr(0, path.rfind('/'));
  const auto names = store_files.List(folder);
  if (!names.ok()) return contents;
  for (const std::string& name : *names) {
    std::string whole = folder;
    whole.append("/").append(name);
    auto content = store_files.Content(whole);
    if (whole.starts_with(path) && content.ok()) contents.push_back(*std::move(content));
  }
  return contents;
}

std::string ShippingWorld::StoredStream(Stream stream) {
  std::string whole;
  for (const std::string& piece : Objects(PlainObjectName(Job(Layout::kPlain).path, stream))) {
    whole += piece;
  }
  return whole;
}

void ShippingWorld::Crash(bool power_loss, uint64_t seed) {
  store_files.KillProcess();
  if (!power_loss) return;
  auto rng = base::MakeSeededRng(seed);
  store_files.Crash(*rng);
  memory.LosePower();
}

ShippingDaemon::ShippingDaemon(ShippingWorld& world, std::optional<int> die_at,
                               ShipperOptions options)
    : world_(world), clock_(std::make_unique<base::FakeClock>(context_)), steps_left_(die_at) {
  auto store = FileStore::Create({world_.store_files, context_.get_executor()}, "file:///logs");
  CHECK(store.ok());
  files_store_ = *std::move(store);
  ObjectStore& files = *files_store_;
  stepping_ =
      std::make_unique<SteppingStore>(world_.kind == StoreKind::kFiles ? files : world_.memory);
  forever_ = std::make_unique<base::WaitList>(*clock_);
  auto at_step = [this] { return AtStep(); };
  stepping_->at_step = at_step;
  world_.journal.at_step = at_step;
  shipper_ = std::make_unique<LogShipper>(
      LogShipper::Deps{
          .clock = *clock_,
          .rng = *rng_,
          .files = world_.spool_files,
          .store = *stepping_,
          .journal = world_.journal,
          .loop = context_.get_executor(),
          .pool = context_.get_executor(),
          .on_complete = [this](base::TaskId) { ++completed_; },
          .on_journal_error = [this](absl::Status status) { journal_errors_.push_back(status); }},
      options);
}

ShippingDaemon::~ShippingDaemon() {
  world_.journal.at_step = nullptr;
  shipper_.reset();
  clock_.reset();  // with what waits for ever
}

boost::asio::awaitable<void> ShippingDaemon::AtStep() {
  if (!steps_left_ || (*steps_left_)-- > 0) co_return;
  dead_ = true;
  for (;;) {
    const absl::Status status = co_await forever_->Wait(base::BootTime::max());
    if (!status.ok()) co_return;
  }
}

}  // namespace boxkeeper::logs
