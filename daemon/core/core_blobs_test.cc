// Files of tasks whose content is a blob: held while the task may start.
#include <map>

#include "daemon/core/testing/core_fixture.h"

namespace boxkeeper::daemon {
namespace {

using testing::CoreTest;
using testing::seconds;
using testing::TaskMaker;

class FakePins final : public blobs::BlobPins {
 public:
  bool Pin(const std::string& sha256) override {
    const auto found = pins.find(sha256);
    if (found != pins.end()) ++found->second;
    return found != pins.end();
  }
  void Unpin(const std::string& sha256) override { --pins.at(sha256); }
  std::string PathOf(const std::string& sha256) const override { return "/blobs/" + sha256; }

  std::map<std::string, int> pins;  // of those that are here
};

class BlobsTest : public CoreTest {
 protected:
  BlobsTest() {
    blob_pins_ = &pins_;
    pins_.pins = {{"a", 0}, {"b", 0}};
  }

  FakePins pins_;
};

TEST_F(BlobsTest, AreHeldUntilTheTaskHasEnded) {
  Boot();
  TaskMaker task = TaskMaker(1).Command("sim run=3600000ms");
  const std::string id = Submit(task.Blob("x", "a").Blob("y", "b").Blob("z", "a")).id();
  clock_->Advance(seconds(1));
  EXPECT_EQ(Get(id).state(), v1::TASK_STATE_RUNNING);
  EXPECT_EQ(pins_.pins, (std::map<std::string, int>{{"a", 1}, {"b", 1}}));
  EXPECT_EQ(Submit(task).outcome(), v1::SubmitResult::DUPLICATE);
  EXPECT_EQ(pins_.pins.at("a"), 1);
  Cancel(id);
  WaitEnd(id);
  EXPECT_EQ(pins_.pins, (std::map<std::string, int>{{"a", 0}, {"b", 0}}));
}

TEST_F(BlobsTest, AreHeldAgainAfterARestart) {
  Boot();
  const std::string id =
      Submit(TaskMaker(1).Command("sim run=3600000ms").Blob("x", "a").Blob("y", "b")).id();
  const std::string ended = Submit(TaskMaker(2).Blob("x", "a")).id();
  WaitEnd(ended);
  // The new daemon's blob store has lost one of them.
  pins_.pins = {{"a", 0}};
  Restart();
  EXPECT_EQ(pins_.pins, (std::map<std::string, int>{{"a", 1}}));
  pins_.pins["b"] = 0;
  Cancel(id);
  WaitEnd(id);
  EXPECT_EQ(pins_.pins, (std::map<std::string, int>{{"a", 0}, {"b", 0}}));
}

TEST_F(BlobsTest, OneThatIsNotHereRejectsTheTaskByName) {
  Boot();
  const v1::SubmitResult result = Submit(TaskMaker(1).Blob("x", "a").Blob("y", "missing"));
  EXPECT_EQ(result.outcome(), v1::SubmitResult::REJECTED);
  ASSERT_EQ(result.violations_size(), 1);
  EXPECT_EQ(result.violations(0).field(), "files.blob");
  EXPECT_NE(result.violations(0).description().find("blob missing is not here"), std::string::npos);
  EXPECT_EQ(pins_.pins.at("a"), 0);
  pins_.pins["missing"] = 0;
  EXPECT_EQ(Submit(TaskMaker(1).Blob("x", "a").Blob("y", "missing")).outcome(),
            v1::SubmitResult::ACCEPTED);
}

TEST_F(BlobsTest, WithoutABlobStoreNoneIsHere) {
  blob_pins_ = nullptr;
  Boot();
  EXPECT_EQ(Submit(TaskMaker(1).Blob("x", "a")).outcome(), v1::SubmitResult::REJECTED);
}

}  // namespace
}  // namespace boxkeeper::daemon
