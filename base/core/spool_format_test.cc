#include "base/core/spool_format.h"

#include <gtest/gtest.h>

namespace boxkeeper::base {
namespace {

TEST(SpoolFormatTest, IndexRecordKeepsItsLayout) {
  const IndexRecord record{SpoolStream::kStderr, 5, 7, 9};
  std::string bytes;
  AppendIndexRecord(bytes, record);
  ASSERT_EQ(bytes.size(), kIndexRecordBytes);
  EXPECT_EQ(bytes, std::string("\2\0\0\0\5\0\0\0\7\0\0\0\0\0\0\0\x9\0\0\0\0\0\0\0", 24));
  EXPECT_EQ(ParseIndexRecord(bytes), record);
}

TEST(SpoolFormatTest, RefusesATornOrStrangeIndexRecord) {
  EXPECT_FALSE(ParseIndexRecord(std::string(kIndexRecordBytes - 1, '\1')));
  EXPECT_FALSE(ParseIndexRecord(std::string(kIndexRecordBytes, '\0')));
}

TEST(SpoolFormatTest, DropRecordSurvivesOnlyUndamaged) {
  const DropRecord record{100, 5000};
  std::string bytes = EncodeDropRecord(record);
  ASSERT_EQ(bytes.size(), kDropRecordBytes);
  EXPECT_EQ(ParseDropRecord(bytes), record);
  bytes[9] ^= 1;
  EXPECT_FALSE(ParseDropRecord(bytes));
}

}  // namespace
}  // namespace boxkeeper::base
