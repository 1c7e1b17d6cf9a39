#include "launcher/launch_spec.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <random>

#include "launcher/tlv.h"

namespace boxkeeper::launcher {
namespace {

LaunchSpec MakeSpec() {
  LaunchSpec spec;
  spec.command.argv = {"/bin/echo",
                       "",
                       "new\nline",
                       "$HOME",
                       "\"'\\",
                       "\xff\xfe",
                       "\u00fcn\u00efc\u00f6de",
                       std::string(100 * 1024, 'x')};
  spec.env = {{"EMPTY", ""}, {"LINES", "a\nb"}};
  spec.secret_env = {{"TOKEN", "hunter2"}};
  spec.files = {{"in/put", 0640, std::string("\0\1", 2), false}, {"/run/key", 0, "k", true}};
  spec.workdir = "/tmp";
  spec.user = "1000:1000";
  spec.run_timeout_ms = 1;
  spec.grace_ms = 0;
  spec.stdout_path = "/spool/out";
  spec.stderr_path = "/spool/err";
  spec.index_path = "/spool/index";
  spec.log_bytes_max = 1ull << 40;
  spec.overflow = OverflowPolicy::kBlock;
  spec.final_drain_ms = 0;
  spec.isolation = {
      .kind = IsolationKind::kBubblewrap,
      .host_network = true,
      .root = "/srv/alpine",
      .volumes = {{"/data/x", "/mnt/data", true, "/data"}, {"/out", "/out", false, "/"}}};
  spec.limits = {.cpu_millis = 500, .memory_bytes = 1 << 28, .pids = 100, .disk_bytes = 1 << 20};
  spec.outputs = {.patterns = {"dist", "/tmp/*"},
                  .path = "/spool/outputs",
                  .files_max = 10,
                  .bytes_max = 1ull << 33,
                  .timeout_ms = 5000};
  return spec;
}

TEST(LaunchSpecTest, SurvivesTheMemfdByteForByte) {
  const LaunchSpec spec = MakeSpec();
  const base::UniqueFd fd = MakeSealedMemfd(EncodeLaunchSpec(spec));
  ASSERT_TRUE(fd.valid());
  std::string bytes, error;
  ASSERT_TRUE(ReadSealedMemfd(fd.get(), &bytes, &error)) << error;
  LaunchSpec decoded;
  ASSERT_TRUE(DecodeLaunchSpec(bytes, &decoded, &error)) << error;
  EXPECT_EQ(decoded, spec);
  EXPECT_EQ(ValidateLaunchSpec(decoded), std::vector<std::string>());
}

TEST(LaunchSpecTest, ShellAndScriptSurvive) {
  for (const Command& command : {Command{CommandKind::kShell, {}, "echo 'a b'", ""},
                                 Command{CommandKind::kScript, {}, "print(1)\n", "python"}}) {
    LaunchSpec spec = MakeSpec(), decoded;
    spec.command = command;
    std::string error;
    ASSERT_TRUE(DecodeLaunchSpec(EncodeLaunchSpec(spec), &decoded, &error)) << error;
    EXPECT_EQ(decoded, spec);
  }
}

TEST(LaunchSpecTest, RefusesAMemfdThatCanStillChange) {
  const base::UniqueFd fd(memfd_create("open", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  std::string bytes, error;
  EXPECT_FALSE(ReadSealedMemfd(fd.get(), &bytes, &error));
  const base::UniqueFd file(open("/dev/null", O_RDONLY | O_CLOEXEC));
  EXPECT_FALSE(ReadSealedMemfd(file.get(), &bytes, &error));
}

TEST(LaunchSpecTest, NetworkRootAndVolumesNeedAKindThatIsolates) {
  LaunchSpec spec = MakeSpec();
  spec.isolation.kind = IsolationKind::kNone;
  EXPECT_EQ(ValidateLaunchSpec(spec).size(), 1U);
  spec.isolation = {};
  EXPECT_EQ(ValidateLaunchSpec(spec).size(), 0U);
  spec.isolation.kind = IsolationKind::kBubblewrap;
  spec.isolation.root = "relative";
  EXPECT_EQ(ValidateLaunchSpec(spec).size(), 1U);
}

TEST(LaunchSpecTest, OutputsNeedAPlaceAndGoodPatterns) {
  LaunchSpec spec = MakeSpec();
  spec.outputs.path = "relative";
  spec.outputs.patterns = {"a/../b"};
  EXPECT_EQ(ValidateLaunchSpec(spec).size(), 2u);
  spec.outputs.patterns.clear();
  EXPECT_TRUE(ValidateLaunchSpec(spec).empty());
}

TEST(LaunchSpecTest, RefusesAnIsolationItDoesNotKnow) {
  LaunchSpec spec = MakeSpec(), decoded;
  spec.isolation.kind = static_cast<IsolationKind>(99);
  std::string error;
  EXPECT_FALSE(DecodeLaunchSpec(EncodeLaunchSpec(spec), &decoded, &error));
  EXPECT_NE(error.find("does not know"), std::string::npos) << error;
}

TEST(LaunchSpecTest, FilesOfBlobsComeBehindTheOthers) {
  LaunchSpec spec = MakeSpec(), decoded;
  const LaunchFile blob{
      .path = "model", .blob_path = "/blobs/1", .blob_sha256 = std::string(32, 's')};
  spec.files.insert(spec.files.begin(), blob);
  std::string error;
  ASSERT_TRUE(DecodeLaunchSpec(EncodeLaunchSpec(spec), &decoded, &error)) << error;
  ASSERT_EQ(decoded.files.size(), 3u);
  EXPECT_EQ(decoded.files[0], spec.files[1]);
  EXPECT_EQ(decoded.files[2], blob);
}

TEST(LaunchSpecTest, GarbageNeverCrashes) {
  LaunchSpec small = MakeSpec();
  small.command.argv.pop_back();
  const std::string valid = EncodeLaunchSpec(small);
  std::mt19937 random(7);
  for (int round = 0; round < 20'000; ++round) {
    std::string bytes = valid.substr(0, random() % 4 == 0 ? random() % valid.size() : valid.size());
    for (unsigned flips = random() % 4; flips > 0 && !bytes.empty(); --flips) {
      bytes[random() % bytes.size()] ^= static_cast<char>(1 << (random() % 8));
    }
    LaunchSpec decoded;
    std::string error;
    if (DecodeLaunchSpec(bytes, &decoded, &error)) ValidateLaunchSpec(decoded);
  }
}

TEST(LaunchSpecTest, NamesEverythingThatIsWrong) {
  LaunchSpec spec = MakeSpec();
  spec.command.argv = {};
  spec.env = {{"A=B", "x"}, {"C", std::string("\0", 1)}};
  spec.files[0].path = "";
  spec.workdir = "relative";
  spec.stdout_path = "relative";
  EXPECT_EQ(ValidateLaunchSpec(spec).size(), 6u);
}

TEST(LaunchSpecTest, WipeLeavesNoValue) {
  LaunchSpec spec = MakeSpec();
  spec.Wipe();
  EXPECT_TRUE(spec.secret_env.empty() && spec.env.empty() && spec.files.empty());
}

}  // namespace
}  // namespace boxkeeper::launcher
