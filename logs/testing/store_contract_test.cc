// The contract against the store that needs no server.
#include "logs/testing/store_contract.h"

#include <gtest/gtest.h>

#include <boost/asio/io_context.hpp>

#include "base/testing/faulty_file_system.h"
#include "logs/file_store.h"

namespace boxkeeper::logs {
namespace {

class FileTest : public testing::TestWithParam<StoreCase> {
 protected:
  boost::asio::io_context loop_;
};

TEST_P(FileTest, Holds) {
  base::FaultyFileSystem files;
  auto store = FileStore::Create({files, loop_.get_executor()}, "file:///logs");
  ASSERT_TRUE(store.ok());
  StoreBench bench(**store, loop_);
  GetParam().run(bench);
}

const auto kNameOf = [](const auto& info) { return info.param.name; };
INSTANTIATE_TEST_SUITE_P(All, FileTest, testing::ValuesIn(StoreCases(true)), kNameOf);

}  // namespace
}  // namespace boxkeeper::logs
