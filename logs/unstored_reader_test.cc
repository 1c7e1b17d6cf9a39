#include "logs/unstored_reader.h"

#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "logs/testing/airflow_reader.h"
#include "logs/testing/run_awaitable.h"
#include "logs/testing/shipping_world.h"

namespace boxkeeper::logs {
namespace {

using std::chrono::seconds;

constexpr int64_t kStart = 1'767'225'600'000;  // FakeClock's wall time at its start
constexpr char kPath[] = "dag/run/attempt=1.log";

class UnstoredReaderTest : public testing::Test {
 protected:
  UnstoredSource Source() const {
    return {.spool = world_.writer.spool(), .accepted_at_ms = kStart};
  }
  UnstoredPlace Place() const { return FindUnstored(kPath, 42, world_.journal.records); }
  UnstoredEnd End() const {
    return {.stdout_bytes = world_.writer.size(Stream::kStdout),
            .stderr_bytes = world_.writer.size(Stream::kStderr),
            .note = world_.note};
  }
  std::unique_ptr<UnstoredReader> Reader(UnstoredPlace place) {
    return std::make_unique<UnstoredReader>(world_.spool_files, context_.get_executor(), Source(),
                                            std::move(place));
  }
  // All there is now. `end`: whether nothing comes any more.
  std::string ReadAll(UnstoredReader& reader, std::optional<UnstoredEnd> ended,
                      bool* end = nullptr) {
    std::string all;
    for (;;) {
      const uint64_t offset = reader.offset();
      auto chunk = RunAwaitable(context_, clock_, reader.Next(ended));
      EXPECT_TRUE(chunk.ok()) << chunk.status();
      if (!chunk.ok()) return all;
      EXPECT_EQ(chunk->offset, offset);
      EXPECT_TRUE(chunk->data.empty() || chunk->data.ends_with("\n"));
      all += chunk->data;
      if (end != nullptr) *end = chunk->end;
      if (chunk->end || chunk->data.empty()) return all;
    }
  }
  std::string ReadNow(std::optional<UnstoredEnd> ended = std::nullopt) {
    return ReadAll(*Reader(Place()), ended);
  }
  std::string Stored() {
    std::string all;
    for (const std::string& piece : world_.Objects(absl::StrCat(kPath, "."))) all += piece;
    return all;
  }
  static std::vector<std::string> Events(const std::vector<std::string>& objects) {
    std::vector<std::string> events;
    for (const ShownRecord& record : ShowInAirflow(objects)) events.push_back(record.event);
    return events;
  }
  void Lines(int from, int to, int64_t at_ms) {
    for (int i = from; i < to; ++i) {
      world_.writer.Write(i % 3 == 0 ? Stream::kStderr : Stream::kStdout,
                          absl::StrCat("line ", i, "\n"), at_ms + i);
    }
  }

  ShippingWorld world_{StoreKind::kPieces};
  boost::asio::io_context context_;
  base::FakeClock clock_{context_};
};

TEST_F(UnstoredReaderTest, NothingIsStoredYet) {
  Lines(0, 5, kStart);
  world_.writer.Write(Stream::kStdout, "unfinished", kStart + 10);
  const std::string now = ReadNow();
  EXPECT_EQ(Events({now}),
            (std::vector<std::string>{"line 0", "line 1", "line 2", "line 3", "line 4"}));
  bool end = false;
  const std::string ended = ReadAll(*Reader(Place()), End(), &end);
  EXPECT_TRUE(end);
  EXPECT_TRUE(ended.starts_with(now));
  EXPECT_EQ(Events({ended}).back(), "unfinished");
}

TEST_F(UnstoredReaderTest, StoredAndUnstoredAreTheWholeLogAtAnyTime) {
  std::vector<std::string> expected;
  {
    ShippingDaemon daemon(world_, std::nullopt, {.flush_bytes = 300, .flush_bytes_max = 300});
    daemon.shipper().Track(world_.Job(Layout::kAirflow));
    for (int i = 0; i < 60; ++i) {
      Lines(i, i + 1, kStart + i * 700);
      expected.push_back(absl::StrCat("line ", i));
      daemon.clock().Advance(std::chrono::milliseconds(700));
      std::vector<std::string> objects = world_.Objects(absl::StrCat(kPath, "."));
      const std::string rest = ReadNow();
      if (!rest.empty()) objects.push_back(rest);
      ASSERT_EQ(Events(objects), expected) << i;
    }
    const std::string before = Stored();
    const std::string rest = ReadNow(End());
    EXPECT_FALSE(before.empty());
    daemon.shipper().NoteEnd(world_.task, world_.End());
    daemon.clock().RunUntilIdle();
    EXPECT_EQ(Stored(), before + rest);
  }
  EXPECT_TRUE(Place().complete);
}

TEST_F(UnstoredReaderTest, APieceOnItsWayIsRenderedAsItWasCutOrSkipped) {
  Lines(0, 20, kStart);
  {
    ShippingDaemon daemon(world_, std::nullopt, {.flush_bytes = 300, .flush_bytes_max = 300});
    world_.memory.down = absl::UnavailableError("down");
    daemon.shipper().Track(world_.Job(Layout::kAirflow));
    daemon.clock().Advance(seconds(2));
  }
  Lines(20, 25, kStart + 2000);
  const UnstoredPlace place = Place();
  ASSERT_TRUE(place.piece);
  EXPECT_EQ(place.piece->name, "dag/run/attempt=1.log.0000000000000042.00000000");
  EXPECT_EQ(place.offset, 0u);
  const std::string whole = ReadAll(*Reader(place), std::nullopt);
  EXPECT_EQ(Events({whole}).size(), 25u);
  UnstoredPlace skipped = place;
  skipped.Skip();
  EXPECT_EQ(skipped.offset, place.piece->size);
  EXPECT_EQ(ReadAll(*Reader(skipped), std::nullopt), whole.substr(place.piece->size));
  // The piece is stored with these bytes.
  world_.memory.down = absl::OkStatus();
  ShippingDaemon daemon(world_);
  daemon.shipper().Track(world_.Job(Layout::kAirflow));
  daemon.shipper().NoteEnd(world_.task, world_.End());
  daemon.clock().RunUntilIdle();
  EXPECT_EQ(world_.Objects(absl::StrCat(kPath, "."))[0], whole.substr(0, place.piece->size));
}

// What was cut after the end (here a line without its newline) can be rendered only with it.
TEST_F(UnstoredReaderTest, APieceThatWasCutAfterTheEnd) {
  world_.writer.Write(Stream::kStdout, "no newline", kStart);
  {
    ShippingDaemon daemon(world_);
    world_.memory.down = absl::UnavailableError("down");
    daemon.shipper().Track(world_.Job(Layout::kAirflow));
    daemon.shipper().NoteEnd(world_.task, world_.End());
    daemon.clock().Advance(seconds(2));
  }
  ASSERT_TRUE(Place().piece);
  EXPECT_EQ(Events({ReadNow(End())}), std::vector<std::string>{"no newline"});
  auto reader = Reader(Place());
  EXPECT_TRUE(absl::IsAborted(RunAwaitable(context_, clock_, reader->Next(std::nullopt)).status()));
}

TEST_F(UnstoredReaderTest, GoesOnAsTheLogGrowsAndEnds) {
  auto reader = Reader(Place());
  EXPECT_EQ(ReadAll(*reader, std::nullopt), "");
  std::string all;
  for (int i = 0; i < 30; ++i) {
    Lines(i, i + 1, kStart);
    all += ReadAll(*reader, std::nullopt);
    EXPECT_EQ(Events({all}).size(), static_cast<size_t>(i + 1));
  }
  world_.writer.Write(Stream::kStdout, "last", kStart + 100);
  EXPECT_EQ(ReadAll(*reader, std::nullopt), "");
  bool end = false;
  all += ReadAll(*reader, End(), &end);
  EXPECT_TRUE(end);
  EXPECT_EQ(Events({all}).back(), "last");
  EXPECT_EQ(reader->offset(), all.size());
}

TEST_F(UnstoredReaderTest, WhyItEndedIsUnstoredUntilItIsStored) {
  world_.note = std::make_shared<EndNote>(
      EndNote{.time_ms = kStart + 5000, .reason = "OOM", .text = "FAILED/OOM"});
  EXPECT_EQ(ReadNow(), "");
  EXPECT_EQ(Events({ReadNow(End())}), std::vector<std::string>{"FAILED/OOM"});
  Lines(0, 1, kStart);
  auto follower = Reader(Place());
  std::string all = ReadAll(*follower, std::nullopt);
  all += ReadAll(*follower, End());
  EXPECT_EQ(Events({all}), (std::vector<std::string>{"line 0", "FAILED/OOM"}));
  ShippingDaemon daemon(world_);
  daemon.shipper().Track(world_.Job(Layout::kAirflow));
  daemon.shipper().NoteEnd(world_.task, world_.End());
  daemon.clock().RunUntilIdle();
  EXPECT_EQ(Events({Stored()}), (std::vector<std::string>{"line 0", "FAILED/OOM"}));
  // Cut and confirmed, not complete yet.
  world_.journal.records.pop_back();
  EXPECT_EQ(ReadNow(End()), "");
}

TEST_F(UnstoredReaderTest, MuchComesInParts) {
  for (int i = 0; i < 3000; ++i) {
    world_.writer.Write(Stream::kStdout, absl::StrCat("line ", i, " ", std::string(100, 'x'), "\n"),
                        kStart + i);
  }
  world_.writer.Write(Stream::kStdout, std::string(600'000, 'y') + "\n", kStart + 4000);
  auto reader = Reader(Place());
  auto first = RunAwaitable(context_, clock_, reader->Next(std::nullopt));
  ASSERT_TRUE(first.ok());
  EXPECT_GT(first->data.size(), 32u * 1024);
  EXPECT_LT(first->data.size(), 2u * 1024 * 1024);
  const std::string rest = ReadAll(*reader, std::nullopt);
  EXPECT_EQ(Events({first->data + rest}).size(), 3000u + 3);  // the long line in three parts
}

TEST_F(UnstoredReaderTest, ASpoolThatIsTooShortIsAnErrorBehindWhatThereIs) {
  Lines(0, 5, kStart);
  UnstoredEnd end = End();
  end.stdout_bytes += 10;
  auto reader = Reader(Place());
  auto chunk = RunAwaitable(context_, clock_, reader->Next(end));
  ASSERT_TRUE(chunk.ok()) << chunk.status();
  EXPECT_EQ(Events({chunk->data}).size(), 5u);
  EXPECT_FALSE(chunk->end);
  EXPECT_TRUE(absl::IsDataLoss(RunAwaitable(context_, clock_, reader->Next(end)).status()));
}

}  // namespace
}  // namespace boxkeeper::logs
