#include "logs/spool_reader.h"

#include <gtest/gtest.h>

#include "base/testing/faulty_file_system.h"
#include "logs/testing/spool_writer.h"

namespace boxkeeper::logs {
namespace {

class SpoolReaderTest : public testing::Test {
 protected:
  SpoolReader Reader(std::vector<std::string> secrets = {}) {
    return {files_, writer_.spool(), std::make_shared<Redactor>(std::move(secrets))};
  }
  std::string Read(SpoolReader& reader, uint64_t offset, size_t max,
                   std::optional<uint64_t> final_size = {}) {
    auto slice = reader.ReadAt(Stream::kStdout, offset, max, final_size);
    EXPECT_TRUE(slice.ok()) << slice.status();
    return slice.ok() ? slice->data : "";
  }

  base::FaultyFileSystem files_;
  SpoolWriter writer_{files_, "/spool/t"};
};

TEST_F(SpoolReaderTest, AnAbsentSpoolIsEmpty) {
  SpoolReader reader(files_, SpoolFiles("/nowhere"), nullptr);
  EXPECT_EQ(Read(reader, 0, 10), "");
  EXPECT_EQ(*reader.Size(Stream::kStdout), 0u);
  EXPECT_TRUE(reader.ReadHole(Stream::kStdout)->empty());
  EXPECT_EQ(*reader.ReadIndex(0, 10), "");
  EXPECT_TRUE(reader.Sync().ok());
}

TEST_F(SpoolReaderTest, ReadsFromAnyOffsetAndNotBehindTheFinalSize) {
  writer_.Write(Stream::kStdout, "hello world", 1);
  SpoolReader reader = Reader();
  EXPECT_EQ(Read(reader, 0, 5), "hello");
  EXPECT_EQ(Read(reader, 6, 100), "world");
  EXPECT_EQ(Read(reader, 6, 100, 8), "wo");
  EXPECT_EQ(Read(reader, 11, 100), "");
  EXPECT_EQ(Read(reader, 1000, 100), "");
}

TEST_F(SpoolReaderTest, StopsAtAHoleAndNeverGivesItsBytes) {
  writer_.Write(Stream::kStdout, "0123456789", 1);
  writer_.Drop(Stream::kStdout, 3, 7);
  SpoolReader reader = Reader();
  EXPECT_EQ(Read(reader, 0, 100), "012");
  auto in_hole = reader.ReadAt(Stream::kStdout, 4, 100, {});
  ASSERT_TRUE(in_hole.ok());
  EXPECT_TRUE(in_hole->in_hole);
  EXPECT_EQ(in_hole->data, "");
  EXPECT_EQ(in_hole->hole, (Hole{3, 7}));
  EXPECT_EQ(Read(reader, 7, 100), "789");
}

TEST_F(SpoolReaderTest, ADamagedDropRecordIsAnError) {
  writer_.Write(Stream::kStdout, "0123456789", 1);
  files_.SetContent("/spool/t/stdout.drop", "garbage");
  EXPECT_TRUE(absl::IsDataLoss(Reader().ReadAt(Stream::kStdout, 0, 10, {}).status()));
}

TEST_F(SpoolReaderTest, RedactsTheSameWhereverOneBeginsToRead) {
  const std::string text = "xx hunter22 yy hunter2hunter22 zz";
  writer_.Write(Stream::kStdout, text, 1);
  SpoolReader reader = Reader({"hunter22"});
  const std::string whole = Read(reader, 0, 100, text.size());
  EXPECT_EQ(whole, "xx ******** yy hunter2******** zz");
  for (uint64_t from = 0; from < text.size(); ++from) {
    for (size_t size = 1; from + size <= text.size(); ++size) {
      ASSERT_EQ(Read(reader, from, size, text.size()), whole.substr(from, size));
    }
  }
}

TEST_F(SpoolReaderTest, HoldsBackWhatMayBecomeASecretUntilItIsDecided) {
  SpoolReader reader = Reader({"hunter22"});
  writer_.Write(Stream::kStdout, "pass hunt", 1);
  EXPECT_EQ(Read(reader, 0, 100), "pass ");
  EXPECT_EQ(Read(reader, 5, 100), "");
  EXPECT_EQ(Read(reader, 7, 100), "");
  EXPECT_EQ(Read(reader, 0, 100, 9), "pass hunt");  // the stream is over: it was none
  writer_.Write(Stream::kStdout, "er22!", 2);
  EXPECT_EQ(Read(reader, 5, 100), "********!");
  EXPECT_EQ(Read(reader, 0, 7), "pass **");
}

TEST_F(SpoolReaderTest, RedactsBehindAHole) {
  writer_.Write(Stream::kStdout, "0123456789 hunter22", 1);
  writer_.Drop(Stream::kStdout, 3, 10);
  SpoolReader reader = Reader({"hunter22"});
  EXPECT_EQ(Read(reader, 10, 100, 19), " ********");
  EXPECT_EQ(Read(reader, 15, 100, 19), "****");
  EXPECT_EQ(Read(reader, 0, 100, 19), "012");
}

TEST_F(SpoolReaderTest, IgnoresATornIndexRecord) {
  writer_.Write(Stream::kStdout, "a", 1);
  writer_.Write(Stream::kStderr, "b", 2);
  const std::string whole = *files_.Content("/spool/t/index");
  files_.SetContent("/spool/t/index", whole + "torn");
  SpoolReader reader = Reader();
  EXPECT_EQ(*reader.ReadIndex(0, 100), whole);
  EXPECT_EQ(*reader.ReadIndex(1, 100), whole.substr(whole.size() / 2));
  EXPECT_EQ(*reader.ReadIndex(2, 100), "");
}

}  // namespace
}  // namespace boxkeeper::logs
