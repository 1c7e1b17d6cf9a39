#include "logs/log_path.h"

#include <gtest/gtest.h>

namespace boxkeeper::logs {
namespace {

base::TaskId Id() {
  base::TaskId id;
  id.id.bytes[15] = 1;
  return id;
}

TEST(ParseFileUrlTest, TakesAnAbsolutePathLiterally) {
  EXPECT_EQ(*ParseFileUrl("file:///var/log"), "/var/log");
  EXPECT_EQ(*ParseFileUrl("file:///var/log//"), "/var/log");
  EXPECT_EQ(*ParseFileUrl("file:///a%20b"), "/a%20b");
  EXPECT_EQ(*ParseFileUrl("file:///"), "/");
}

TEST(ParseFileUrlTest, RefusesAnythingElse) {
  for (const char* url : {"", "/var/log", "file://host/x", "file:/x", "s3://bucket/x", "file://"}) {
    auto path = ParseFileUrl(url);
    EXPECT_FALSE(path.ok()) << url;
    EXPECT_NE(std::string(path.status().message()).find("file:///"), std::string::npos);
  }
}

TEST(ValidateLogPathTest, AcceptsAirflowsPathsAndUnicode) {
  for (const char* path :
       {"dag_id=a/run_id=manual__2026-01-01T00:00:00+00:00/task_id=t/attempt=1.log", "a",
        "a/b..c/...", "\xc3\xa4/\xe6\x97\xa5"}) {
    EXPECT_TRUE(ValidateLogPath(path).ok()) << path;
  }
}

TEST(ValidateLogPathTest, RefusesWhatCouldLeaveTheBaseOrHitOurs) {
  for (const std::string& path :
       {std::string(), std::string("/etc/passwd"), std::string(".."), std::string("../x"),
        std::string("a/../../b"), std::string("a/./b"), std::string("a//b"), std::string("a/"),
        std::string("a\nb"), std::string("a\0b", 3), std::string("\xff"),
        std::string("_boxkeeper/x"), std::string("_boxkeeper"), std::string(1025, 'a'),
        std::string(221, 'a')}) {
    EXPECT_FALSE(ValidateLogPath(path).ok()) << path;
  }
}

TEST(LogPathTest, NamesAreThoseOfTheDesign) {
  v1::TaskKey key;
  key.set_group("dag");
  key.set_run("run/1");
  key.set_name("..");
  EXPECT_EQ(DefaultLogPath(key, Id()), "default/dag/run%2F1/%2E%2E/-1/1/" + Id().ToString());
  EXPECT_EQ(PlainObjectName("p", Stream::kStderr), "p/stderr");
  EXPECT_EQ(PlainPieceName("p", Stream::kStdout, 65536), "p/stdout.0000000000065536");
  EXPECT_EQ(AirflowPieceName("d/attempt=1.log", 42, 7),
            "d/attempt=1.log.0000000000000042.00000007");
  EXPECT_EQ(ExitRecordName(Id()), "_boxkeeper/" + Id().ToString() + "/exit.json");
}

}  // namespace
}  // namespace boxkeeper::logs
