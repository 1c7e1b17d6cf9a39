#include "logs/log_reader.h"

#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "logs/testing/run_awaitable.h"
#include "logs/testing/shipping_world.h"

namespace boxkeeper::logs {
namespace {

constexpr int64_t kStart = 1'767'225'600'000;

class LogReaderTest : public testing::Test {
 protected:
  explicit LogReaderTest(StoreKind kind = StoreKind::kFiles) : world_(kind) {}

  LogSource Spool() const {
    return {.spool = world_.writer.spool(), .stored = {.path = "dag/run/attempt=1.log"}};
  }
  LogSource EndedSpool() const {
    LogSource source = Spool();
    source.final_size = world_.writer.size(Stream::kStdout);
    return source;
  }
  // Ships everything, then takes the spool away.
  LogSource Stored(Layout layout) {
    {
      const ShipperOptions options{.flush_bytes = 200, .flush_bytes_max = 200};
      ShippingDaemon daemon(world_, std::nullopt, options);
      daemon.shipper().Track(world_.Job(layout));
      daemon.shipper().NoteEnd(world_.task, world_.End());
      daemon.clock().RunUntilIdle();
      EXPECT_EQ(daemon.completed(), 1);
    }
    LogSource source = EndedSpool();
    source.spool_gone = true;
    source.stored = MakeStoredLog(layout, "dag/run/attempt=1.log", 42, world_.journal.records);
    EXPECT_TRUE(source.stored.complete);
    return source;
  }

  template <typename T>
  T Run(boost::asio::awaitable<T> call) {
    return RunAwaitable(context_, clock_, std::move(call));
  }
  LogChunk Read(LogSource source, uint64_t offset, size_t max = LogReader::kMaxChunk,
                Stream stream = Stream::kStdout) {
    auto chunk = Run(reader_.Read(std::move(source), stream, offset, max));
    EXPECT_TRUE(chunk.ok()) << chunk.status();
    return chunk.ok() ? *chunk : LogChunk{.end = true};
  }
  // The whole stream in chunks, holes as "<N>".
  std::string ReadAll(const LogSource& source, size_t max, Stream stream = Stream::kStdout) {
    std::string all;
    uint64_t offset = 0;
    for (;;) {
      const LogChunk chunk = Read(source, offset, max, stream);
      EXPECT_EQ(chunk.offset, offset);
      EXPECT_LE(chunk.data.size(), max);
      all += chunk.data;
      if (chunk.dropped_bytes > 0) all += absl::StrCat("<", chunk.dropped_bytes, ">");
      if (chunk.end) return all;
      if (chunk.next() == offset) return all + "(no progress)";
      offset = chunk.next();
    }
  }
  uint64_t Tail(LogSource source, uint64_t lines) {
    auto offset = Run(reader_.TailOffset(std::move(source), Stream::kStdout, lines));
    EXPECT_TRUE(offset.ok()) << offset.status();
    return offset.ok() ? *offset : UINT64_MAX;
  }

  ShippingWorld world_;
  boost::asio::io_context context_;
  base::FakeClock clock_{context_};
  std::unique_ptr<FileStore> store_ =
      *FileStore::Create({world_.store_files, context_.get_executor()}, "file:///logs");
  ObjectStore& files_store_ = *store_;
  ObjectStore& used_ = world_.kind == StoreKind::kFiles ? files_store_ : world_.memory;
  LogReader reader_{{world_.spool_files, used_, context_.get_executor()}};
};

struct StoredCase {
  Layout layout;
  StoreKind kind;
};

// Layouts that store the stream's bytes.
class StoredStreamTest : public LogReaderTest, public testing::WithParamInterface<StoredCase> {
 protected:
  StoredStreamTest() : LogReaderTest(GetParam().kind) {}
};

TEST_F(LogReaderTest, FollowsALiveStreamFromAnyOffset) {
  EXPECT_EQ(Read(Spool(), 0).data, "");  // not begun
  world_.writer.Write(Stream::kStdout, "hello", kStart);
  LogChunk chunk = Read(Spool(), 1);
  EXPECT_EQ(chunk.data, "ello");
  EXPECT_FALSE(chunk.end);
  EXPECT_EQ(Read(Spool(), 5).data, "");
  world_.writer.Write(Stream::kStdout, " world", kStart);
  EXPECT_EQ(Read(Spool(), 5).data, " world");
  chunk = Read(EndedSpool(), 5);
  EXPECT_EQ(chunk.data, " world");
  EXPECT_TRUE(chunk.end);
  EXPECT_TRUE(Read(EndedSpool(), 11).end);
  EXPECT_TRUE(Read(EndedSpool(), 5000).end);
  EXPECT_FALSE(Read(EndedSpool(), 0, 5).end);
}

TEST_F(LogReaderTest, AStreamWithoutBytesEnds) {
  LogSource source = Spool();
  source.final_size = 0;
  EXPECT_TRUE(Read(source, 0).end);
  source.spool_gone = true;
  EXPECT_TRUE(Read(source, 0).end);
}

TEST_F(LogReaderTest, ALogThatIsNowhereIsNotFound) {
  LogSource source = Spool();
  source.final_size = 10;
  EXPECT_TRUE(absl::IsNotFound(Run(reader_.Read(source, Stream::kStdout, 0, 100)).status()));
  source.spool_gone = true;
  EXPECT_TRUE(absl::IsNotFound(Run(reader_.Read(source, Stream::kStdout, 0, 100)).status()));
}

TEST_F(LogReaderTest, ASpoolThatIsShorterThanRecordedStillEnds) {
  world_.writer.Write(Stream::kStdout, "hello", kStart);
  LogSource source = Spool();
  source.final_size = 100;
  const LogChunk chunk = Read(source, 0);
  EXPECT_EQ(chunk.data, "hello");
  EXPECT_TRUE(chunk.end);
}

TEST_F(LogReaderTest, AHoleIsToldWithItsSize) {
  world_.writer.Write(Stream::kStdout, "0123456789", kStart);
  world_.writer.Drop(Stream::kStdout, 3, 7);
  EXPECT_EQ(ReadAll(EndedSpool(), 2), "012<4>789");
  const LogChunk inside = Read(EndedSpool(), 5);
  EXPECT_EQ(inside.offset, 5u);
  EXPECT_EQ(inside.dropped_bytes, 2u);
}

TEST_F(LogReaderTest, TailsByLines) {
  EXPECT_EQ(Tail(Spool(), 10), 0u);
  world_.writer.Write(Stream::kStdout, "one\ntwo\nthree\n", kStart);
  EXPECT_EQ(Tail(Spool(), 0), 14u);
  EXPECT_EQ(Tail(Spool(), 1), 8u);
  EXPECT_EQ(Tail(Spool(), 2), 4u);
  EXPECT_EQ(Tail(Spool(), 3), 0u);
  EXPECT_EQ(Tail(Spool(), 100), 0u);
  world_.writer.Write(Stream::kStdout, "four", kStart);  // unfinished: a line too
  EXPECT_EQ(Tail(Spool(), 1), 14u);
  EXPECT_EQ(Tail(Spool(), 2), 8u);
}

TEST_F(LogReaderTest, TailsAcrossBlocksAndHoles) {
  const std::string line(100'000, 'x');
  world_.writer.Write(Stream::kStdout, line + "\n" + line + "\n" + line, kStart);
  EXPECT_EQ(Tail(Spool(), 1), 200'002u);
  EXPECT_EQ(Tail(Spool(), 2), 100'001u);
  world_.writer.Drop(Stream::kStdout, 50'000, 250'000);
  EXPECT_EQ(Tail(Spool(), 1), 0u);
  world_.writer.Write(Stream::kStdout, "\nlast", kStart);
  EXPECT_EQ(Tail(Spool(), 1), 300'003u);
}

TEST_P(StoredStreamTest, AfterTheSpoolIsGoneTheStoreHasTheSameBytes) {
  std::string text;
  for (int i = 0; i < 200; ++i) text += absl::StrCat("line ", i, "\n");
  world_.writer.Write(Stream::kStdout, text, kStart);
  const LogSource stored = Stored(GetParam().layout);
  for (const size_t max : {7u, 1000u, 100'000u}) EXPECT_EQ(ReadAll(stored, max), text);
  LogSource empty = stored;
  empty.final_size = 0;
  EXPECT_EQ(ReadAll(empty, 100, Stream::kStderr), "");
  EXPECT_EQ(Read(stored, 6, 5).data, text.substr(6, 5));
  EXPECT_EQ(Tail(stored, 1), text.size() - 9);
  EXPECT_EQ(Tail(stored, 1000), 0u);
}

TEST_P(StoredStreamTest, TheStoredLogTellsItsGapAtTheSameOffsets) {
  world_.writer.Write(Stream::kStdout, "one\n23456789\nend\n", kStart);
  world_.writer.Drop(Stream::kStdout, 6, 10);
  EXPECT_EQ(ReadAll(EndedSpool(), 100), "one\n23<4>89\nend\n");
  const LogSource stored = Stored(GetParam().layout);
  for (const size_t max : {1u, 3u, 100u}) EXPECT_EQ(ReadAll(stored, max), "one\n23<4>89\nend\n");
  EXPECT_EQ(Read(stored, 8).dropped_bytes, 2u);
  EXPECT_EQ(Read(stored, 10).data, "89\nend\n");
  EXPECT_EQ(Tail(stored, 1), 13u);
  EXPECT_EQ(Tail(stored, 2), 4u);
}

// Pieces come in many sizes while the task runs: no seam shows.
TEST_P(StoredStreamTest, WhatWasStoredLiveReadsAsOneStream) {
  std::string text;
  {
    ShippingDaemon daemon(world_);
    daemon.shipper().Track(world_.Job(GetParam().layout));
    for (int i = 0; i < 30; ++i) {
      const std::string more(static_cast<size_t>(1 + i * 37 % 500),
                             static_cast<char>('a' + i % 26));
      text += more + "\n";
      world_.writer.Write(Stream::kStdout, more + "\n", kStart);
      daemon.clock().Advance(std::chrono::seconds(31));
    }
  }
  const LogSource stored = Stored(GetParam().layout);
  for (const size_t max : {1u, 64u, 100'000u}) EXPECT_EQ(ReadAll(stored, max), text);
  EXPECT_EQ(Tail(stored, 3), text.size() - 500 - 37 - 74 - 3);
}

TEST_F(LogReaderTest, AfterTheSpoolIsGoneTheAirflowStoreHasTheText) {
  std::string out;
  for (int i = 0; i < 100; ++i) {
    const std::string line = absl::StrCat("line ", i, "\n");
    world_.writer.Write(Stream::kStdout, line, kStart + i);
    world_.writer.Write(Stream::kStderr, "E" + line, kStart + i);
    out += line;
  }
  const std::string big(300'000, 'b');
  world_.writer.Write(Stream::kStdout, big + "\n", kStart + 200);
  out += big + "\n";
  const LogSource stored = Stored(Layout::kAirflow);
  EXPECT_EQ(ReadAll(stored, 10'000), out);
  EXPECT_EQ(ReadAll(stored, LogReader::kMaxChunk), out);
  EXPECT_EQ(Read(stored, 7, 20).data, out.substr(7, 20));
  EXPECT_EQ(Read(stored, 500, 20).data, out.substr(500, 20));
  EXPECT_EQ(Tail(stored, 0), out.size());
  EXPECT_EQ(Tail(stored, 1), out.size() - big.size() - 1);
  EXPECT_EQ(Tail(stored, 2), out.size() - big.size() - 1 - 8);
  EXPECT_EQ(ReadAll(stored, 64, Stream::kStderr).substr(0, 16), "Eline 0\nEline 1\n");
}

TEST_F(LogReaderTest, ReadingOnInAnAirflowLogCostsWhatItReads) {
  for (int i = 0; i < 200; ++i) {
    world_.writer.Write(Stream::kStdout, std::string(999, 'a') + "\n", kStart + i * 10);
  }
  const LogSource stored = Stored(Layout::kAirflow);
  int opens = 0;
  world_.store_files.SetFault([&opens](base::FileOperation operation, const std::string&) {
    opens += operation == base::FileOperation::kOpen;
    return absl::OkStatus();
  });
  EXPECT_EQ(ReadAll(stored, 5'000).size(), 200'000u);
  // 200 pieces, 40 reads: not 200 pieces for each read.
  EXPECT_LE(opens, 1'000);
}

INSTANTIATE_TEST_SUITE_P(, StoredStreamTest,
                         testing::Values(StoredCase{Layout::kPlain, StoreKind::kFiles},
                                         StoredCase{Layout::kPlain, StoreKind::kPieces},
                                         StoredCase{Layout::kMetaflow, StoreKind::kFiles},
                                         StoredCase{Layout::kMetaflow, StoreKind::kPieces}),
                         [](const auto& info) {
                           const bool files = info.param.kind == StoreKind::kFiles;
                           return std::string(LayoutName(info.param.layout)) +
                                  (files ? "OnFiles" : "InPieces");
                         });

}  // namespace
}  // namespace boxkeeper::logs
