#include "daemon/service/acceptor.h"

#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <cstring>
#include <mutex>
#include <string>
#include <vector>

namespace boxkeeper::daemon {
namespace {

using ::testing::HasSubstr;

class AcceptorTest : public testing::Test {
 protected:
  AcceptorTest() : path_("/tmp/acceptor_test." + std::to_string(getpid())) {}
  ~AcceptorTest() override { unlink(path_.c_str()); }

  static ListenAddress Address(const std::string& text) {
    return config::ParseListenAddress(text).value();
  }

  absl::StatusOr<uint16_t> Listen(const std::string& text) {
    return acceptor_.Listen(Address(text), [this](int, int connection) {
      const std::lock_guard lock(mutex_);
      taken_.emplace_back(connection);
      arrived_.notify_all();
    });
  }

  // Waits until so many connections were taken in all.
  bool AwaitTaken(size_t count) {
    std::unique_lock lock(mutex_);
    return arrived_.wait_for(lock, std::chrono::seconds(30),
                             [&] { return taken_.size() >= count; });
  }

  static base::UniqueFd ConnectTcp(uint16_t port) {
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_port = htons(port);
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    base::UniqueFd fd(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    if (connect(fd.get(), reinterpret_cast<sockaddr*>(&to), sizeof(to)) != 0) fd.Reset();
    return fd;
  }

  base::UniqueFd ConnectUnix() const {
    sockaddr_un to{};
    to.sun_family = AF_UNIX;
    std::memcpy(to.sun_path, path_.c_str(), path_.size() + 1);
    base::UniqueFd fd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    if (connect(fd.get(), reinterpret_cast<sockaddr*>(&to), sizeof(to)) != 0) fd.Reset();
    return fd;
  }

  // Blocks until the other side closes.
  static bool IsClosed(const base::UniqueFd& fd) {
    char byte;
    return read(fd.get(), &byte, 1) <= 0;
  }

  std::string path_;
  std::mutex mutex_;
  std::condition_variable arrived_;
  std::vector<base::UniqueFd> taken_;
  Acceptor acceptor_;
};

TEST_F(AcceptorTest, GivesAwayWhatComesOnEachAddress) {
  const auto port = Listen("127.0.0.1:0");
  ASSERT_TRUE(port.ok()) << port.status();
  ASSERT_TRUE(Listen("unix:" + path_).ok());
  acceptor_.Start();
  const base::UniqueFd tcp = ConnectTcp(*port);
  const base::UniqueFd local = ConnectUnix();
  EXPECT_TRUE(tcp.valid() && local.valid());
  EXPECT_TRUE(AwaitTaken(2));
}

TEST_F(AcceptorTest, AUnixSocketIsOursAloneAndGoesWithUs) {
  ASSERT_TRUE(Listen("unix:" + path_).ok());
  struct stat info{};
  ASSERT_EQ(stat(path_.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0600u);
  acceptor_.Start();
  acceptor_.Stop();
  EXPECT_NE(stat(path_.c_str(), &info), 0);
  EXPECT_FALSE(ConnectUnix().valid());
}

TEST_F(AcceptorTest, APortInUseIsRefusedAndSaidSo) {
  const auto port = Listen("127.0.0.1:0");
  ASSERT_TRUE(port.ok());
  Acceptor second;
  const auto refused =
      second.Listen(Address("127.0.0.1:" + std::to_string(*port)), [](int, int) {});
  EXPECT_THAT(std::string(refused.status().message()), HasSubstr("in use"));
  const auto nowhere = second.Listen(Address("unix:/no/such/folder/socket"), [](int, int) {});
  EXPECT_THAT(std::string(nowhere.status().message()), HasSubstr("No such file"));
}

// What gRPC's own listener does not survive.
TEST_F(AcceptorTest, TakesConnectionsAgainWhenThereAreDescriptorsAgain) {
  const auto port = Listen("127.0.0.1:0");
  ASSERT_TRUE(port.ok());
  acceptor_.Start();
  const base::UniqueFd client(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const base::UniqueFd highest(dup(client.get()));
  rlimit before{};
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &before), 0);
  rlimit none = before;
  none.rlim_cur = static_cast<rlim_t>(highest.get()) + 1;
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &none), 0);
  sockaddr_in to{};
  to.sin_family = AF_INET;
  to.sin_port = htons(*port);
  to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  // The kernel completes it; nobody can accept it.
  EXPECT_EQ(connect(client.get(), reinterpret_cast<sockaddr*>(&to), sizeof(to)), 0);
  EXPECT_EQ(accept(highest.get(), nullptr, nullptr), -1);
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &before), 0);
  EXPECT_TRUE(AwaitTaken(1)) << "the one that waited is taken late";
  EXPECT_TRUE(ConnectTcp(*port).valid());
  EXPECT_TRUE(AwaitTaken(2));
}

TEST_F(AcceptorTest, TheLastDescriptorsAreNotForConnections) {
  const auto port = Listen("127.0.0.1:0");
  ASSERT_TRUE(port.ok());
  acceptor_.Start();
  rlimit before{};
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &before), 0);
  const base::UniqueFd client(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  // The next free number is among the last eighth, and there are numbers behind it.
  const base::UniqueFd next(dup(client.get()));
  rlimit few = before;
  few.rlim_cur = std::max<rlim_t>(static_cast<rlim_t>(next.get()) + 4, 64);
  std::vector<base::UniqueFd> filler;
  while (filler.empty() || static_cast<rlim_t>(filler.back().get()) + 8 < few.rlim_cur) {
    filler.emplace_back(dup(client.get()));
  }
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &few), 0);
  sockaddr_in to{};
  to.sin_family = AF_INET;
  to.sin_port = htons(*port);
  to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  ASSERT_EQ(connect(client.get(), reinterpret_cast<sockaddr*>(&to), sizeof(to)), 0);
  EXPECT_TRUE(IsClosed(client));
  EXPECT_TRUE(taken_.empty());
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &before), 0);
  EXPECT_TRUE(ConnectTcp(*port).valid());
  EXPECT_TRUE(AwaitTaken(1));
}

}  // namespace
}  // namespace boxkeeper::daemon
