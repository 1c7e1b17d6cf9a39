#include "daemon/service/listener.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>

namespace boxkeeper::daemon {
namespace {

using ::testing::HasSubstr;

std::vector<ListenAddress> Addresses(const std::string& text) {
  return {config::ParseListenAddress(text).value()};
}

TEST(ListenerTest, WritesAddressesAsClientsDo) {
  for (const char* text : {"127.0.0.1:7433", "[::1]:80", "unix:/run/a.sock", "localhost:0"}) {
    EXPECT_EQ(ToString(Addresses(text)[0]), text);
  }
}

TEST(ListenerTest, AnOpenAddressNeedsBothTlsAndAuthentication) {
  for (const char* open : {"0.0.0.0:7433", "[::]:1", "10.1.2.3:5", "example.org:80"}) {
    EXPECT_FALSE(CheckExposure(Addresses(open), false, true).ok()) << open;
    EXPECT_FALSE(CheckExposure(Addresses(open), true, false).ok()) << open;
    EXPECT_TRUE(CheckExposure(Addresses(open), true, true).ok()) << open;
  }
  for (const char* closed : {"127.0.0.2:7433", "[::1]:1", "unix:/a", "localhost:80"}) {
    EXPECT_TRUE(CheckExposure(Addresses(closed), false, false).ok()) << closed;
  }
}

class SocketTest : public ::testing::Test {
 protected:
  SocketTest() {
    EXPECT_NE(mkdtemp(folder_.data()), nullptr);
    path_ = folder_ + "/s";
  }
  ~SocketTest() override { std::filesystem::remove_all(folder_); }

  // Binds and, if asked, listens; returns the descriptor.
  int Bind(bool listening) {
    const int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::strcpy(address.sun_path, path_.c_str());
    EXPECT_EQ(bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof(address)), 0);
    if (listening) EXPECT_EQ(listen(fd, 4), 0);
    return fd;
  }

  std::string folder_ = "/tmp/bk-listener-XXXXXX";
  std::string path_;
};

TEST_F(SocketTest, AStaleSocketIsRemoved) {
  close(Bind(true));
  ASSERT_TRUE(std::filesystem::exists(path_));
  EXPECT_TRUE(ClearStaleSocket(path_).ok());
  EXPECT_FALSE(std::filesystem::exists(path_));
  EXPECT_TRUE(ClearStaleSocket(path_).ok());  // nothing there
}

TEST_F(SocketTest, ASocketThatIsServedIsLeftAlone) {
  const int fd = Bind(true);
  EXPECT_THAT(std::string(ClearStaleSocket(path_).message()), HasSubstr("another process"));
  EXPECT_TRUE(std::filesystem::exists(path_));
  close(fd);
}

TEST_F(SocketTest, AFileInTheWayIsLeftAlone) {
  std::ofstream(path_) << "precious";
  EXPECT_FALSE(ClearStaleSocket(path_).ok());
  EXPECT_EQ(std::filesystem::file_size(path_), 8u);
}

TEST_F(SocketTest, APathThatIsTooLongSaysSo) {
  EXPECT_TRUE(absl::IsInvalidArgument(ClearStaleSocket("/" + std::string(200, 'a'))));
}

}  // namespace
}  // namespace boxkeeper::daemon
