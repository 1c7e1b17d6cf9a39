// Runs the cases of every ObjectStore against a real one, started by the Python tests beside it.
// BOXKEEPER_STORE_URL names the store; BOXKEEPER_STORE_ENDPOINT its server, if it is no cloud;
// credentials come from the environment as the daemon's would.
#include <gtest/gtest.h>

#include <boost/asio/io_context.hpp>
#include <boost/asio/thread_pool.hpp>
#include <cstdlib>
#include <memory>
#include <string>

#include "base/file_system.h"
#include "base/real_clock.h"
#include "base/rng.h"
#include "logs/stores/open_store.h"
#include "logs/testing/store_contract.h"

namespace boxkeeper::logs {
namespace {

std::string Variable(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

// More than a store puts into one part or block: S3Store 8 MiB, the others 4 MiB.
size_t LargeBytes() {
  constexpr size_t kOfS3 = (9 << 20) + 77, kOfOthers = (5 << 20) + 77;
  return Variable("BOXKEEPER_STORE_URL").starts_with("s3") ? kOfS3 : kOfOthers;
}

class RealStoreTest : public testing::TestWithParam<StoreCase> {
 protected:
  ~RealStoreTest() override { pool_.join(); }

  boost::asio::io_context loop_;
  boost::asio::thread_pool pool_{2};
  std::unique_ptr<base::Clock> clock_ = base::MakeRealClock();
  std::unique_ptr<base::Rng> rng_ = base::MakeSystemRng();
  std::unique_ptr<base::FileSystem> files_ = base::MakeRealFileSystem();
};

StoreOptions OptionsOfEnvironment() {
  StoreOptions options;
  options.url = Variable("BOXKEEPER_STORE_URL");
  options.s3.endpoint = Variable("BOXKEEPER_STORE_ENDPOINT");
  options.gcs.endpoint = options.azure.endpoint = options.s3.endpoint;
  return options;
}

TEST_P(RealStoreTest, Holds) {
  auto store = OpenStore({*clock_, *rng_, *files_, loop_.get_executor(), pool_.get_executor()},
                         OptionsOfEnvironment());
  ASSERT_TRUE(store.ok()) << store.status();
  StoreBench bench(**store, loop_);
  bench.folder = "contract-" + rng_->NewId().ToString();
  bench.large_bytes = LargeBytes();
  GetParam().run(bench);
}

const bool kGrows = Variable("BOXKEEPER_STORE_URL").starts_with("azure") ||
                    Variable("BOXKEEPER_STORE_URL").starts_with("file");
const auto kNameOf = [](const auto& info) { return info.param.name; };
INSTANTIATE_TEST_SUITE_P(All, RealStoreTest, testing::ValuesIn(StoreCases(kGrows)), kNameOf);

}  // namespace
}  // namespace boxkeeper::logs
