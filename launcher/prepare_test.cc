#include "launcher/prepare.h"

#include <gtest/gtest.h>

namespace boxkeeper::launcher {
namespace {

const SandboxPlace kPlace{"id", -1, "/state/launch/sandboxes/id"};

Account MakeAccount() {
  Account account;
  account.name = "ada";
  account.home = "/home/ada";
  return account;
}

TEST(PrepareTest, TheEnvironmentIsMinimal) {
  EXPECT_EQ(
      MakeEnvironment(kPlace, LaunchSpec{}, MakeAccount()),
      (std::vector<std::string>{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
                                "HOME=/home/ada", "USER=ada", "LOGNAME=ada", "LANG=C.UTF-8",
                                "BOXKEEPER_SANDBOX=id"}));
}

TEST(PrepareTest, TheLastOfANameWinsButForTheMark) {
  LaunchSpec spec;
  spec.env = {{"A", "1"}, {"HOME", "/x"}, {"A", "2"}, {"BOXKEEPER_SANDBOX", "forged"}};
  spec.secret_env = {{"A", "3"}};
  const auto environment = MakeEnvironment(kPlace, spec, MakeAccount());
  EXPECT_EQ(environment,
            (std::vector<std::string>{
                "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "USER=ada",
                "LOGNAME=ada", "LANG=C.UTF-8", "HOME=/x", "A=3", "BOXKEEPER_SANDBOX=id"}));
}

TEST(PrepareTest, AUserWithoutAHomeLivesInTheSandbox) {
  Account account = MakeAccount();
  account.home = "";
  EXPECT_EQ(MakeEnvironment(kPlace, LaunchSpec{}, account)[1],
            "HOME=/state/launch/sandboxes/id/work");
}

TEST(PrepareTest, ProgramsAreLookedUpInTheCommandsPath) {
  const std::vector<std::string> environment = {"XPATH=/no", "PATH=/a::/b"};
  EXPECT_EQ(ProgramCandidates("p", environment), (std::vector<std::string>{"/a/p", "./p", "/b/p"}));
  EXPECT_EQ(ProgramCandidates("./p", environment), std::vector<std::string>{"./p"});
  EXPECT_EQ(ProgramCandidates("/bin/p", environment), std::vector<std::string>{"/bin/p"});
}

}  // namespace
}  // namespace boxkeeper::launcher
