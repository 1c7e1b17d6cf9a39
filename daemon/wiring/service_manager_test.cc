#include "daemon/wiring/service_manager.h"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <string>

namespace boxkeeper::daemon {
namespace {

// What arrives at a datagram socket of `name`; a leading '@' means the abstract name space.
std::string Received(const std::string& name) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, name.data(), name.size());
  if (name[0] == '@') address.sun_path[0] = '\0';
  const int fd = socket(AF_UNIX, SOCK_DGRAM, 0);
  const auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + name.size());
  EXPECT_EQ(bind(fd, reinterpret_cast<sockaddr*>(&address), size), 0);
  setenv("NOTIFY_SOCKET", name.c_str(), 1);
  NotifyServiceManager("READY=1\nSTATUS=serving");
  unsetenv("NOTIFY_SOCKET");
  char text[100];
  const ssize_t length = recv(fd, text, sizeof(text), MSG_DONTWAIT);
  close(fd);
  return length < 0 ? "" : std::string(text, static_cast<size_t>(length));
}

TEST(ServiceManagerTest, TellsAPathAndAnAbstractSocket) {
  std::string folder = "/tmp/bk-notify-XXXXXX";
  ASSERT_NE(mkdtemp(folder.data()), nullptr);
  EXPECT_EQ(Received(folder + "/s"), "READY=1\nSTATUS=serving");
  EXPECT_EQ(Received("@" + folder), "READY=1\nSTATUS=serving");
  unlink((folder + "/s").c_str());
  rmdir(folder.c_str());
}

TEST(ServiceManagerTest, IsSilentWithoutASocketAndSurvivesABadOne) {
  unsetenv("NOTIFY_SOCKET");
  NotifyServiceManager("READY=1");
  for (const std::string& bad :
       {std::string("/no/such/socket"), std::string(500, 'x'), std::string("")}) {
    setenv("NOTIFY_SOCKET", bad.c_str(), 1);
    NotifyServiceManager("READY=1");
  }
  unsetenv("NOTIFY_SOCKET");
}

}  // namespace
}  // namespace boxkeeper::daemon
