#include "launcher/supervisor_link.h"

#include <gtest/gtest.h>
#include <limits.h>

#include "launcher/exit_record.h"

namespace boxkeeper::launcher {
namespace {

TEST(SupervisorLinkTest, NoticesComeOutWholeAndInOrder) {
  const std::string stream = EncodeNotice({NoticeKind::kStarted, "a", "one"}) +
                             EncodeNotice({NoticeKind::kExited, "b", "two"});
  std::string buffer = stream.substr(0, stream.size() - 1);
  Notice notice;
  ASSERT_TRUE(TakeNotice(&buffer, &notice));
  EXPECT_EQ(notice.kind, NoticeKind::kStarted);
  EXPECT_EQ(notice.sandbox_id, "a");
  EXPECT_FALSE(TakeNotice(&buffer, &notice));
  buffer += stream.back();
  ASSERT_TRUE(TakeNotice(&buffer, &notice));
  EXPECT_EQ(notice.record, "two");
}

TEST(SupervisorLinkTest, ASupervisorIsNamedByItsSandbox) {
  EXPECT_EQ(SupervisorName("a"), "bx:a");
  EXPECT_EQ(SupervisorName("0123456789abcdef0123456789abcdef"), "bx:456789abcdef");
}

TEST(SupervisorLinkTest, ControlFitsOneWord) {
  const Control control{SignalMode::kSend, 64, 86'400'000};
  const Control again = UnpackControl(PackControl(control));
  EXPECT_EQ(again.mode, control.mode);
  EXPECT_EQ(again.signal, control.signal);
  EXPECT_EQ(again.grace_ms, control.grace_ms);
}

}  // namespace
}  // namespace boxkeeper::launcher
