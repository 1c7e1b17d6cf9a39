// Collector and receiver together: what is found, what is refused, and what stands on the disk.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <thread>

#include "base/core/outputs_format.h"
#include "base/core/proc.h"
#include "base/core/unique_fd.h"
#include "base/sha256.h"
#include "launcher/outputs/collector.h"
#include "launcher/outputs/receiver.h"

namespace boxkeeper::launcher {
namespace {

namespace fs = std::filesystem;

class OutputsTest : public ::testing::Test {
 protected:
  OutputsTest() {
    char name[] = "/tmp/boxkeeper-outputs-XXXXXX";
    root_ = mkdtemp(name);
    fs::create_directories(root_ / "work");
    request_.files_max = 100;
    request_.bytes_max = 1 << 20;
    request_.deadline_boot_ns = base::BootNs() + 20'000'000'000;
    options_ = {.path = root_ / "spool" / "outputs", .files_max = 100, .bytes_max = 1 << 20};
  }
  ~OutputsTest() override { fs::remove_all(root_); }

  void Write(const std::string& path, const std::string& content) {
    const fs::path full = root_ / "work" / path;
    fs::create_directories(full.parent_path());
    std::ofstream(full, std::ios::binary) << content;
  }

  // What stands on the disk after a collection; the paths with their content.
  std::map<std::string, std::string> Collect(std::vector<std::string> patterns) {
    request_.patterns = std::move(patterns);
    const base::UniqueFd workdir(open((root_ / "work").c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
    request_.workdir = workdir.get();
    int ends[2];
    EXPECT_EQ(pipe2(ends, O_CLOEXEC), 0);
    std::thread collector([this, out = ends[1]] {
      CollectOutputs(request_, out);
      close(out);
    });
    OutputsReceiver receiver;
    receiver.Begin(options_);
    char bytes[1000];
    for (ssize_t got = 0; (got = read(ends[0], bytes, sizeof(bytes))) > 0;) {
      receiver.Receive({bytes, static_cast<size_t>(got)});
    }
    close(ends[0]);
    collector.join();
    EXPECT_TRUE(receiver.done());
    EXPECT_EQ(receiver.Store(), 0);
    return Stored();
  }

  std::map<std::string, std::string> Stored() {
    const auto manifest = base::ParseOutputsManifest(ReadFile(options_.path));
    EXPECT_TRUE(manifest.has_value());
    manifest_ = manifest.value_or(base::OutputsManifest());
    const std::string data = ReadFile(options_.path + ".data");
    std::map<std::string, std::string> files;
    for (const base::CollectedFile& file : manifest_.files) {
      const std::string content = data.substr(file.offset, file.size);
      EXPECT_EQ(content.size(), file.size);
      EXPECT_EQ(base::Sha256(content), file.sha256);
      files[file.path] = content;
    }
    return files;
  }

  static std::string ReadFile(const std::string& path) {
    std::ifstream in(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
  }

  std::string Notes() const {
    std::string all;
    for (const std::string& note : manifest_.notes) all += note + "\n";
    return all;
  }

  fs::path root_;
  CollectRequest request_;
  OutputsReceiver::Options options_;
  base::OutputsManifest manifest_;
};

using Files = std::map<std::string, std::string>;

TEST_F(OutputsTest, PathsGlobsAndDirectories) {
  Write("a.txt", "A");
  Write("b.log", "B");
  Write("dist/x.txt", "X");
  Write("dist/deep/y.txt", "Y");
  Write("dist/deep/.hidden", "H");
  EXPECT_EQ(Collect({"a.txt"}), (Files{{"a.txt", "A"}}));
  EXPECT_EQ(Collect({"*.txt", "a*", "./b.log"}), (Files{{"a.txt", "A"}, {"b.log", "B"}}));
  EXPECT_EQ(Collect({"dist"}),
            (Files{{"dist/x.txt", "X"}, {"dist/deep/y.txt", "Y"}, {"dist/deep/.hidden", "H"}}));
  EXPECT_EQ(Collect({"**/*.txt"}),
            (Files{{"a.txt", "A"}, {"dist/x.txt", "X"}, {"dist/deep/y.txt", "Y"}}));
  EXPECT_EQ(Collect({"dist/*/[xy].txt"}), (Files{{"dist/deep/y.txt", "Y"}}));
  EXPECT_EQ(Collect({"."}).size(), 5u);
  EXPECT_EQ(manifest_.skipped, 0u);
  EXPECT_EQ(Collect({root_ / "work/dist/*.txt"}), (Files{{root_ / "work/dist/x.txt", "X"}}));
}

TEST_F(OutputsTest, WhatMatchesNothingIsSaid) {
  EXPECT_TRUE(Collect({"nothing*", "no/such"}).empty());
  EXPECT_EQ(manifest_.skipped, 2u);
  EXPECT_NE(Notes().find("'no/such': matches nothing"), std::string::npos);
}

TEST_F(OutputsTest, ModeAndBytesAreKept) {
  std::string binary;
  for (int i = 0; i < 300'000; ++i) binary.push_back(static_cast<char>(i * 31));
  Write("run", binary);
  Write("empty", "");
  fs::permissions(root_ / "work/run", fs::perms(0751));
  EXPECT_EQ(Collect({"*"}), (Files{{"run", binary}, {"empty", ""}}));
  EXPECT_EQ(manifest_.files[1].mode, 0751u);
}

TEST_F(OutputsTest, NoLinkIsFollowedAndNothingSpecialOpened) {
  std::ofstream(root_ / "secret") << "host";
  fs::create_directories(root_ / "outside");
  std::ofstream(root_ / "outside/file") << "host";
  Write("good", "G");
  fs::create_symlink(root_ / "secret", root_ / "work/link");
  fs::create_symlink("../secret", root_ / "work/relative");
  fs::create_symlink(root_ / "outside", root_ / "work/dirlink");
  fs::create_symlink("/proc/self/fd/0", root_ / "work/magic");
  ASSERT_EQ(mkfifo((root_ / "work/fifo").c_str(), 0600), 0);
  const base::UniqueFd socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  strncpy(address.sun_path, (root_ / "work/socket").c_str(), sizeof(address.sun_path) - 1);
  ASSERT_EQ(bind(socket.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address)), 0);
  EXPECT_EQ(Collect({"*", "dirlink/*", "dirlink/file", "link", "**/file"}), (Files{{"good", "G"}}));
  EXPECT_NE(Notes().find("'link': is a symbolic link"), std::string::npos);
  EXPECT_NE(Notes().find("'fifo': is no regular file"), std::string::npos);
}

TEST_F(OutputsTest, TheKernelsFilesAreNoOutputs) {
  EXPECT_TRUE(Collect({"/proc/self/environ", "/proc/kcore", "/sys/kernel/*"}).empty());
  EXPECT_NE(Notes().find("made up by the kernel"), std::string::npos);
}

TEST_F(OutputsTest, BeneathTheWorkDirectoryNothingElseIsSeen) {
  request_.beneath_workdir = true;
  request_.workdir_name = "/work";
  Write("a", "A");
  Write("d/b", "B");
  fs::create_directory_symlink("/etc", root_ / "work/etc");
  EXPECT_EQ(Collect({"/etc/passwd", "etc/passwd", "/work/a", "/work/d", "/worker"}),
            (Files{{"/work/a", "A"}, {"/work/d/b", "B"}}));
}

TEST_F(OutputsTest, TooManyAndTooLargeAreLeftOutTheRestIsKept) {
  Write("1", std::string(600, 'x'));
  Write("2", std::string(600, 'y'));
  Write("3", "z");
  request_.bytes_max = options_.bytes_max = 1000;
  EXPECT_EQ(Collect({"*"}), (Files{{"1", std::string(600, 'x')}, {"3", "z"}}));
  EXPECT_NE(Notes().find("are above 1000"), std::string::npos);
  request_.files_max = 1;
  EXPECT_EQ(Collect({"*"}).size(), 1u);
  EXPECT_EQ(manifest_.skipped, 2u);
}

TEST_F(OutputsTest, AHugeHoleCostsNothing) {
  Write("sparse", "");
  fs::resize_file(root_ / "work/sparse", uint64_t{1} << 40);
  Write("x", "X");
  EXPECT_EQ(Collect({"*"}), (Files{{"x", "X"}}));
}

TEST_F(OutputsTest, TimeIsBounded) {
  Write("a", "A");
  request_.deadline_boot_ns = base::BootNs() - 1;
  EXPECT_TRUE(Collect({"*"}).empty());
  EXPECT_NE(Notes().find("the time for collecting is over"), std::string::npos);
}

TEST_F(OutputsTest, DepthIsBounded) {
  std::string path;
  for (int i = 0; i < 40; ++i) path += "d/";
  Write(path + "f", "F");
  Write("d/f", "S");
  EXPECT_EQ(Collect({"d"}), (Files{{"d/f", "S"}}));
  EXPECT_EQ(Collect({"**/f"}), (Files{{"d/f", "S"}}));
}

TEST_F(OutputsTest, NamesThatNobodyCanShowAreLeftOut) {
  Write("bad\nname", "1");
  Write("\xff", "2");
  Write("\xc3\xa4", "3");
  EXPECT_EQ(Collect({"*"}), (Files{{"\xc3\xa4", "3"}}));
  EXPECT_EQ(manifest_.skipped, 2u);
  for (const std::string& note : manifest_.notes) EXPECT_EQ(note, base::OutputNote(note));
}

// The collector runs with the task's rights: what it says may be a lie.
TEST_F(OutputsTest, TheReceiverKeepsItsLimitsWhateverItIsTold) {
  options_.bytes_max = 10;
  options_.files_max = 2;
  OutputsReceiver receiver;
  receiver.Begin(options_);
  const auto file = [&](const std::string& path, const std::string& content) {
    receiver.Receive(EncodeFileFrame(04777, 0, path));
    receiver.Receive(EncodeFrame(OutputWord::kData, content));
    receiver.Receive(EncodeFrame(OutputWord::kEnd, ""));
  };
  file("../../etc/passwd", "x");
  file("/", "x");
  file("ok", "123456");
  file("ok", "again");
  file("large", "123456");
  file("fits", "1234");
  file("third", "");
  receiver.Receive(EncodeFrame(OutputWord::kEnd, "") + EncodeFrame(OutputWord::kData, "stray"));
  receiver.Receive(EncodeFrame(OutputWord::kDone, ""));
  EXPECT_EQ(receiver.Store(), 0);
  EXPECT_EQ(Stored(), (Files{{"ok", "123456"}, {"fits", "1234"}}));
  EXPECT_EQ(manifest_.files[0].mode, 0777u);
  EXPECT_EQ(manifest_.skipped, 5u);
}

TEST_F(OutputsTest, ADamagedStreamKeepsWhatIsWhole) {
  OutputsReceiver receiver;
  receiver.Begin(options_);
  receiver.Receive(EncodeFileFrame(0644, 0, "a") + EncodeFrame(OutputWord::kData, "A") +
                   EncodeFrame(OutputWord::kEnd, "") + EncodeFileFrame(0644, 0, "b") +
                   EncodeFrame(OutputWord::kData, "B"));
  receiver.Receive("\xff\xff\xff\xff\xff\xff");
  EXPECT_TRUE(receiver.done());
  EXPECT_EQ(receiver.Store(), 0);
  EXPECT_EQ(Stored(), (Files{{"a", "A"}}));
  EXPECT_EQ(fs::file_size(options_.path + ".data"), 1u);
}

TEST_F(OutputsTest, ANewBeginningForgetsTheOldOne) {
  OutputsReceiver receiver;
  receiver.Begin(options_);
  receiver.Receive(EncodeFileFrame(0644, 0, "a") + EncodeFrame(OutputWord::kData, "AAAA") +
                   EncodeFrame(OutputWord::kEnd, ""));
  EXPECT_EQ(receiver.Store(), 0);
  receiver.Begin(options_);
  EXPECT_FALSE(fs::exists(options_.path));
  receiver.CutOff("killed");
  EXPECT_EQ(receiver.Store(), 0);
  EXPECT_TRUE(Stored().empty());
  EXPECT_EQ(Notes(), "the rest: killed\n");
}

TEST_F(OutputsTest, ADiskWithoutRoomIsSaid) {
  options_.spare_bytes = uint64_t{1} << 60;
  Write("a", "A");
  Write("empty", "");
  EXPECT_EQ(Collect({"*"}), (Files{{"empty", ""}}));
  EXPECT_NE(Notes().find("no room"), std::string::npos);
}

}  // namespace
}  // namespace boxkeeper::launcher
