// One task's log on its way to the store: what survives the daemon (spool, journal, store), and
// daemons that ship it and die.
#pragma once

#include <boost/asio/io_context.hpp>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/rng.h"
#include "base/testing/fake_clock.h"
#include "base/testing/faulty_file_system.h"
#include "base/wait_list.h"
#include "logs/file_store.h"
#include "logs/log_shipper.h"
#include "logs/testing/fake_log_journal.h"
#include "logs/testing/memory_store.h"
#include "logs/testing/spool_writer.h"
#include "logs/testing/stepping_store.h"

namespace boxkeeper::logs {

enum class StoreKind {
  kFiles,   // a FileStore on `store_files`
  kPieces,  // `memory`, which cannot append
};

// Survives.
struct ShippingWorld {
  explicit ShippingWorld(StoreKind store_kind = StoreKind::kFiles);

  base::FaultyFileSystem spool_files;
  const StoreKind kind;
  base::FaultyFileSystem store_files;
  MemoryStore memory{false};
  SpoolWriter writer{spool_files, "/spool/t"};
  FakeLogJournal journal;
  base::TaskId task;
  EndNotePtr note;  // of its end

  ShipJob Job(Layout layout) const;
  LogEnd End() const;
  // Contents of the store's objects whose name starts with `prefix`, in order of names.
  std::vector<std::string> Objects(const std::string& prefix);
  // What a reader of the stored stream sees, plain or metaflow: the object, or its pieces in order.
  std::string StoredStream(Stream stream);
  // The daemon's machine is gone, or (`power_loss`) the store's too.
  void Crash(bool power_loss, uint64_t seed);
};

// Ships until it dies: when destroyed, or when it reaches step `die_at` (counted before and after
// each change of the journal and the store), where it stands still.
class ShippingDaemon {
 public:
  explicit ShippingDaemon(ShippingWorld& world, std::optional<int> die_at = std::nullopt,
                          ShipperOptions options = {});
  ~ShippingDaemon();

  base::FakeClock& clock() { return *clock_; }
  LogShipper& shipper() { return *shipper_; }
  SteppingStore& store() { return *stepping_; }
  bool dead() const { return dead_; }
  int completed() const { return completed_; }
  const std::vector<absl::Status>& journal_errors() const { return journal_errors_; }
  boost::asio::io_context& context() { return context_; }

 private:
  boost::asio::awaitable<void> AtStep();

  ShippingWorld& world_;
  boost::asio::io_context context_;
  std::unique_ptr<base::FakeClock> clock_;
  std::unique_ptr<base::Rng> rng_ = base::MakeSeededRng(1);
  std::unique_ptr<FileStore> files_store_;  // of that kind
  std::unique_ptr<SteppingStore> stepping_;
  std::unique_ptr<base::WaitList> forever_;
  std::unique_ptr<LogShipper> shipper_;
  std::optional<int> steps_left_;
  bool dead_ = false;
  int completed_ = 0;
  std::vector<absl::Status> journal_errors_;
};

}  // namespace boxkeeper::logs
