// Both adapters: what a caller on the loop sees.
#include <gtest/gtest.h>
#include <stdlib.h>

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <filesystem>
#include <optional>
#include <thread>

#include "base/testing/fake_clock.h"
#include "base/testing/faulty_file_system.h"
#include "store/inline_task_store.h"
#include "store/threaded_task_store.h"

namespace boxkeeper::store {
namespace {

namespace asio = boost::asio;

Batch Put(Position position, std::string record) {
  Batch batch;
  batch.puts.push_back({position, std::move(record)});
  return batch;
}

int Count(TaskStore& store) {
  int count = 0;
  auto visit = [&](Position, std::string_view) {
    ++count;
    return absl::OkStatus();
  };
  EXPECT_TRUE(store.Load(visit).ok());
  return count;
}

struct ThreadedTaskStoreTest : testing::Test {
  ThreadedTaskStoreTest() {
    std::string pattern = testing::TempDir() + "/store.XXXXXX";
    dir = mkdtemp(pattern.data());
    options.log = {.path = dir + "/state.db", .ballast_bytes = 1 << 20, .room_bytes = 0};
  }
  ~ThreadedTaskStoreTest() override { std::filesystem::remove_all(dir); }

  std::string dir;
  std::unique_ptr<base::FileSystem> fs = base::MakeRealFileSystem();
  ThreadedTaskStoreOptions options;
  asio::io_context context;
};

TEST_F(ThreadedTaskStoreTest, CompletesOnTheCallersThread) {
  auto store = ThreadedTaskStore::Create(*fs, options);
  ASSERT_TRUE(store.ok()) << store.status();
  const std::thread::id loop = std::this_thread::get_id();
  int done = 0;
  auto run = [&]() -> asio::awaitable<void> {
    for (Position p = 1; p <= 100; ++p) {
      Batch batch = Put(p, "record");
      absl::Status committed = co_await (*store)->Commit(batch);
      EXPECT_TRUE(committed.ok()) << committed;
      EXPECT_EQ(std::this_thread::get_id(), loop);
      ++done;
    }
    absl::StatusOr<std::string> record = co_await (*store)->Read(7);
    EXPECT_EQ(*record, "record");
    absl::StatusOr<std::string> absent = co_await (*store)->Read(700);
    EXPECT_EQ(absent.status().code(), absl::StatusCode::kNotFound);
  };
  asio::co_spawn(context, run, asio::detached);
  context.run();  // Does not run out of work while the store thread has some.
  EXPECT_EQ(done, 100);
  EXPECT_TRUE((*store)->HasRoomForNewTasks());
  *store = nullptr;
  auto again = ThreadedTaskStore::Create(*fs, options);
  ASSERT_TRUE(again.ok()) << again.status();
  EXPECT_EQ(Count(**again), 100);
  EXPECT_EQ((*again)->last_position(), 100);
}

TEST_F(ThreadedTaskStoreTest, DestructionFinishesWhatWasHandedOver) {
  auto store = ThreadedTaskStore::Create(*fs, options);
  ASSERT_TRUE(store.ok()) << store.status();
  Batch batch = Put(1, "record");
  auto run = [&]() -> asio::awaitable<void> {
    absl::Status committed = co_await (*store)->Commit(batch);
    EXPECT_TRUE(committed.ok());
  };
  asio::co_spawn(context, run, asio::detached);
  context.poll();
  *store = nullptr;
  auto again = ThreadedTaskStore::Create(*fs, options);
  EXPECT_EQ(Count(**again), 1);
}

TEST_F(ThreadedTaskStoreTest, CheckpointsBetweenCommitsWhenTheWalIsLarge) {
  options.checkpoint_bytes = 100'000;
  auto store = ThreadedTaskStore::Create(*fs, options);
  ASSERT_TRUE(store.ok()) << store.status();
  auto run = [&]() -> asio::awaitable<void> {
    for (Position p = 1; p <= 40; ++p) {
      Batch batch = Put(p, std::string(10'000, 'x'));
      absl::Status committed = co_await (*store)->Commit(batch);
      EXPECT_TRUE(committed.ok()) << committed;
    }
  };
  asio::co_spawn(context, run, asio::detached);
  context.run();
  EXPECT_LT(std::filesystem::file_size(dir + "/state.db-wal"), 200'000u);
  EXPECT_GT(std::filesystem::file_size(dir + "/state.db"), 200'000u);
}

struct InlineTaskStoreTest : testing::Test {
  base::FaultyFileSystem fs;
  asio::io_context context;
  base::FakeClock clock{context};
  InlineTaskStoreOptions options{
      .log = {.path = "/state.db", .ballast_bytes = 0, .room_bytes = 1000}};
};

TEST_F(InlineTaskStoreTest, TakesVirtualTimeBeforeTheWriteAndBeforeTheAnswer) {
  options.delay = [] { return std::chrono::milliseconds(5); };
  auto store = InlineTaskStore::Create(clock, fs, options);
  ASSERT_TRUE(store.ok()) << store.status();
  std::optional<absl::Status> committed;
  Batch batch = Put(1, "record");
  auto run = [&]() -> asio::awaitable<void> { committed = co_await (*store)->Commit(batch); };
  asio::co_spawn(context, run, asio::detached);
  clock.Advance(std::chrono::milliseconds(4));
  EXPECT_EQ((*store)->log().records(), 0);
  clock.Advance(std::chrono::milliseconds(2));
  EXPECT_EQ((*store)->log().records(), 1);
  EXPECT_FALSE(committed);
  clock.Advance(std::chrono::milliseconds(4));
  ASSERT_TRUE(committed);
  EXPECT_TRUE(committed->ok());
}

TEST_F(InlineTaskStoreTest, NeverCompletesWithinTheCallAndTellsOfSpace) {
  auto store = InlineTaskStore::Create(clock, fs, options);
  ASSERT_TRUE(store.ok()) << store.status();
  std::optional<absl::StatusOr<std::string>> record;
  Batch batch = Put(1, "record");
  auto run = [&]() -> asio::awaitable<void> {
    absl::Status committed = co_await (*store)->Commit(batch);
    EXPECT_TRUE(committed.ok());
    record = co_await (*store)->Read(1);
  };
  asio::co_spawn(context, run, asio::detached);
  EXPECT_FALSE(record);
  clock.RunUntilIdle();
  ASSERT_TRUE(record);
  EXPECT_EQ(**record, "record");
  EXPECT_TRUE((*store)->HasRoomForNewTasks());
  fs.SetCapacity(fs.used_bytes() + 10);
  EXPECT_FALSE((*store)->HasRoomForNewTasks());
}

TEST_F(InlineTaskStoreTest, CancellingTheCallerDoesNotCancelItsCommit) {
  options.delay = [] { return std::chrono::milliseconds(5); };
  auto store = InlineTaskStore::Create(clock, fs, options);
  ASSERT_TRUE(store.ok()) << store.status();
  std::optional<absl::Status> committed;
  Batch batch = Put(1, "record");
  auto run = [&]() -> asio::awaitable<void> { committed = co_await (*store)->Commit(batch); };
  asio::cancellation_signal signal;
  asio::co_spawn(context, run, asio::bind_cancellation_slot(signal.slot(), asio::detached));
  clock.RunUntilIdle();
  signal.emit(asio::cancellation_type::terminal);
  clock.Advance(std::chrono::milliseconds(20));
  ASSERT_TRUE(committed);
  EXPECT_TRUE(committed->ok());
}

TEST_F(InlineTaskStoreTest, ACommitInFlightIsFreedWithTheClock) {
  // Under ASan: a simulator's kill leaks nothing.
  options.delay = [] { return std::chrono::milliseconds(5); };
  auto own = std::make_unique<base::FakeClock>(context);
  auto store = InlineTaskStore::Create(*own, fs, options);
  ASSERT_TRUE(store.ok()) << store.status();
  Batch batch = Put(1, "record");
  auto run = [&]() -> asio::awaitable<void> { (co_await (*store)->Commit(batch)).IgnoreError(); };
  asio::co_spawn(context, run, asio::detached);
  own->RunUntilIdle();
  own = nullptr;
}

}  // namespace
}  // namespace boxkeeper::store
