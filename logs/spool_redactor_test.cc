#include "logs/spool_redactor.h"

#include <gtest/gtest.h>

#include <string>

#include "base/testing/faulty_file_system.h"
#include "logs/testing/spool_writer.h"

namespace boxkeeper::logs {
namespace {

constexpr size_t kMiB = size_t{1} << 20;

class SpoolRedactorTest : public testing::Test {
 protected:
  void Redact(std::vector<std::string> secrets) {
    const absl::Status done = RedactSpool(files_, writer_.spool(), Redactor(std::move(secrets)));
    EXPECT_TRUE(done.ok()) << done;
  }
  std::string Content(Stream stream) {
    return base::ReadFile(files_, writer_.spool().path(stream)).value_or("");
  }

  base::FaultyFileSystem files_;
  SpoolWriter writer_{files_, "/spool/t"};
};

TEST_F(SpoolRedactorTest, OverwritesBothStreamsInPlace) {
  writer_.Write(Stream::kStdout, "a secret-1 b secret-1secret-2", 1);
  writer_.Write(Stream::kStderr, "secret-2\n", 2);
  Redact({"secret-1", "secret-2"});
  EXPECT_EQ(Content(Stream::kStdout), "a ******** b ****************");
  EXPECT_EQ(Content(Stream::kStderr), "********\n");
}

TEST_F(SpoolRedactorTest, FindsValuesAcrossTheBordersOfItsWindows) {
  for (const size_t shift : {0, 1, 7, 8}) {
    base::FaultyFileSystem files;
    SpoolWriter writer(files, "/spool/t");
    writer.Write(Stream::kStdout, std::string(kMiB - shift, 'x') + "secret-1" + "tail", 1);
    ASSERT_TRUE(RedactSpool(files, writer.spool(), Redactor({"secret-1"})).ok());
    EXPECT_EQ(*base::ReadFile(files, writer.spool().stdout_path()),
              std::string(kMiB - shift, 'x') + "********tail")
        << shift;
  }
}

TEST_F(SpoolRedactorTest, OverlappingValuesLongerThanAWindowAreCoveredToTheEnd) {
  writer_.Write(Stream::kStdout, std::string(kMiB + 5, 'a'), 1);
  Redact({"aaaaaaaa"});
  EXPECT_EQ(Content(Stream::kStdout), std::string(kMiB + 5, '*'));
}

TEST_F(SpoolRedactorTest, LeavesAHoleAlone) {
  writer_.Write(Stream::kStdout, "secret-1..........secret-1", 1);
  writer_.Drop(Stream::kStdout, 8, 18);
  Redact({"secret-1"});
  const std::string content = Content(Stream::kStdout);
  EXPECT_EQ(content.substr(0, 8), "********");
  EXPECT_EQ(content.substr(18), "********");
}

TEST_F(SpoolRedactorTest, ASecondTimeChangesNothingAndAnAbsentSpoolIsFine) {
  writer_.Write(Stream::kStdout, "a secret-1", 1);
  Redact({"secret-1"});
  Redact({"secret-1"});
  EXPECT_EQ(Content(Stream::kStdout), "a ********");
  EXPECT_TRUE(RedactSpool(files_, SpoolFiles("/nowhere"), Redactor({"secret-1"})).ok());
}

}  // namespace
}  // namespace boxkeeper::logs
