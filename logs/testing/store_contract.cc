#include "logs/testing/store_contract.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <memory>

#include "absl/strings/str_cat.h"
#include "base/hex.h"
#include "base/sha256.h"

namespace boxkeeper::logs {
namespace {

class ContentSource final : public PieceSource {
 public:
  explicit ContentSource(std::string content) : content_(std::move(content)) {}
  absl::StatusOr<std::string> Next() override {
    constexpr size_t kStep = 100'000;
    std::string data = content_.substr(std::min(at_, content_.size()), kStep);
    at_ += data.size();
    return data;
  }

 private:
  const std::string content_;
  size_t at_ = 0;
};

class LargeSource final : public PieceSource {
 public:
  explicit LargeSource(size_t size) : size_(size) {}
  absl::StatusOr<std::string> Next() override;

 private:
  const size_t size_;
  size_t at_ = 0;
};

// Different at each place, cheap to make.
void AppendLarge(size_t from, size_t to, std::string& out) {
  for (size_t at = from; at < to; ++at) {
    out.push_back(static_cast<char>((at * 2654435761u >> 16) + at / 65521));
  }
}

absl::StatusOr<std::string> LargeSource::Next() {
  constexpr size_t kStep = 1 << 20;
  const size_t end = std::min(size_, at_ + kStep);
  std::string data;
  data.reserve(end - at_);
  AppendLarge(at_, end, data);
  at_ = end;
  return data;
}

// One run of a case: its own names, all removed at the end.
class Names {
 public:
  Names(StoreBench& bench, const std::string& name)
      : bench_(bench), prefix_(absl::StrCat(bench.folder, "/", name, "/")) {
    Clear();
  }
  ~Names() { Clear(); }
  std::string operator()(const std::string& name) const { return prefix_ + name; }

 private:
  void Clear() {
    auto names = bench_.Run(bench_.store().List(prefix_));
    EXPECT_TRUE(names.ok()) << names.status();
    if (!names.ok()) return;
    for (const std::string& name : *names) {
      const absl::Status removed = bench_.Run(bench_.store().Remove(name));
      EXPECT_TRUE(removed.ok()) << removed;
    }
  }
  StoreBench& bench_;
  const std::string prefix_;
};

void PutIsWholeAndReplaces(StoreBench& bench) {
  const Names name(bench, "put");
  ObjectStore& store = bench.store();
  for (const std::string& content : {std::string("some bytes"), std::string("other, more bytes"),
                                     std::string("few"), std::string()}) {
    const absl::Status put = bench.Run(store.Put(PieceOf(name("p"), content)));
    ASSERT_TRUE(put.ok()) << put;
    EXPECT_EQ(bench.Content(name("p")), content);
  }
}

void PutLargePieces(StoreBench& bench) {
  const Names name(bench, "large");
  const size_t size = bench.large_bytes;
  for (const size_t bytes : {size, size - 1, size + 12345}) {
    const absl::Status put = bench.Run(bench.store().Put(LargePiece(name("l"), bytes)));
    ASSERT_TRUE(put.ok()) << put;
    const std::string content = bench.Content(name("l"));
    ASSERT_EQ(content.size(), bytes) << content.substr(0, 400);
    EXPECT_EQ(base::HexEncode(base::Sha256(content)),
              base::HexEncode(base::Sha256(LargeContent(bytes))));
  }
}

void WhatWasNotAnnouncedIsNotStored(StoreBench& bench) {
  const Names name(bench, "announced");
  ObjectStore& store = bench.store();
  std::vector<Piece> wrong(4, PieceOf(name("p"), "some bytes"));
  wrong[0].sha256[0] ^= 1;
  wrong[1].size += 1;
  wrong[2].size -= 1;
  wrong[3] = LargePiece(name("p"), bench.large_bytes);
  wrong[3].sha256[31] ^= 1;
  for (const Piece& piece : wrong) {
    EXPECT_TRUE(absl::IsDataLoss(bench.Run(store.Put(piece))));
    EXPECT_TRUE(absl::IsNotFound(bench.Run(store.Read(name("p"), 0, 1)).status()));
  }
  EXPECT_TRUE(bench.Run(store.List(name("p")))->empty());
}

void ReadsAnyRange(StoreBench& bench) {
  const Names name(bench, "read");
  ObjectStore& store = bench.store();
  ASSERT_TRUE(bench.Run(store.Put(PieceOf(name("r"), "0123456789"))).ok());
  EXPECT_EQ(*bench.Run(store.Read(name("r"), 0, 4)), "0123");
  EXPECT_EQ(*bench.Run(store.Read(name("r"), 3, 4)), "3456");
  EXPECT_EQ(*bench.Run(store.Read(name("r"), 8, 100)), "89");
  EXPECT_EQ(*bench.Run(store.Read(name("r"), 10, 5)), "");
  EXPECT_EQ(*bench.Run(store.Read(name("r"), 1000, 5)), "");
  EXPECT_EQ(*bench.Run(store.Read(name("r"), 2, 0)), "");
  EXPECT_TRUE(absl::IsNotFound(bench.Run(store.Read(name("none"), 0, 1)).status()));
  ASSERT_TRUE(bench.Run(store.Put(PieceOf(name("e"), ""))).ok());
  EXPECT_EQ(*bench.Run(store.Read(name("e"), 0, 5)), "");
}

void NamesMayHaveAnyCharacter(StoreBench& bench) {
  const Names name(bench, "names");
  ObjectStore& store = bench.store();
  std::vector<std::string> names;
  for (const char* odd :
       {"dag_id=a b run_id=manual__2026-11-21T12:00:00+00:00.log", "percent%41&amp;?#\"'<>",
        "umlaut-\xc3\xa4\xe2\x82\xac", "tilde~!$()*,;=@"}) {
    names.push_back(name(odd));
  }
  std::sort(names.begin(), names.end());
  for (const std::string& odd : names) {
    const absl::Status put = bench.Run(store.Put(PieceOf(odd, "content of " + odd)));
    ASSERT_TRUE(put.ok()) << odd << ": " << put;
  }
  const auto listed = bench.Run(store.List(name("")));
  ASSERT_TRUE(listed.ok()) << listed.status();
  EXPECT_EQ(*listed, names);
  for (const std::string& odd : names) EXPECT_EQ(bench.Content(odd), "content of " + odd);
}

void ListsByPrefixSorted(StoreBench& bench) {
  const Names name(bench, "list");
  ObjectStore& store = bench.store();
  for (const char* odd : {"d/x.log.2", "d/x.log.1", "d/y.log", "e/x.log.3"}) {
    ASSERT_TRUE(bench.Run(store.Put(PieceOf(name(odd), "1"))).ok());
  }
  EXPECT_EQ(*bench.Run(store.List(name("d/x.log"))),
            (std::vector<std::string>{name("d/x.log.1"), name("d/x.log.2")}));
  EXPECT_TRUE(bench.Run(store.List(name("none/x")))->empty());
}

void RemovesAndForgets(StoreBench& bench) {
  const Names name(bench, "remove");
  ObjectStore& store = bench.store();
  ASSERT_TRUE(bench.Run(store.Put(PieceOf(name("r"), "1"))).ok());
  EXPECT_TRUE(bench.Run(store.Remove(name("r"))).ok());
  EXPECT_TRUE(bench.Run(store.Remove(name("r"))).ok());
  EXPECT_TRUE(absl::IsNotFound(bench.Run(store.Read(name("r"), 0, 1)).status()));
}

void RefusesBadNames(StoreBench& bench) {
  for (const char* name : {"", "/x", "../x", "a/../x", "a//x", "a/."}) {
    EXPECT_TRUE(absl::IsInvalidArgument(bench.Run(bench.store().Put(PieceOf(name, "x"))))) << name;
    EXPECT_TRUE(absl::IsInvalidArgument(bench.Run(bench.store().Read(name, 0, 1)).status()))
        << name;
  }
}

void ExtendsAndReplacesWhatWasBehind(StoreBench& bench) {
  const Names name(bench, "extend");
  ObjectStore& store = bench.store();
  const auto extend = [&](uint64_t from, const std::string& tail) {
    return bench.Run(store.Extend(from, PieceOf(name("o"), tail)));
  };
  EXPECT_TRUE(absl::IsOutOfRange(extend(1, "x")));
  ASSERT_TRUE(extend(0, "hello ").ok());
  for (int repeat = 0; repeat < 2; ++repeat) {
    const absl::Status extended = extend(6, "world");
    ASSERT_TRUE(extended.ok()) << extended;
    EXPECT_EQ(bench.Content(name("o")), "hello world");
  }
  const absl::Status replaced = extend(4, "p, and more");
  ASSERT_TRUE(replaced.ok()) << replaced;
  EXPECT_EQ(bench.Content(name("o")), "hellp, and more");
  EXPECT_TRUE(absl::IsOutOfRange(extend(100, "x")));
  Piece wrong = PieceOf(name("o"), "tail");
  wrong.sha256[5] ^= 1;
  EXPECT_TRUE(absl::IsDataLoss(bench.Run(store.Extend(5, wrong))));
  EXPECT_EQ(bench.Content(name("o")), "hellp, and more");
}

void ExtendsByLargeTails(StoreBench& bench) {
  const Names name(bench, "extend_large");
  ObjectStore& store = bench.store();
  const size_t size = bench.large_bytes;
  ASSERT_TRUE(bench.Run(store.Extend(0, LargePiece(name("o"), size))).ok());
  const absl::Status extended = bench.Run(store.Extend(size, LargePiece(name("o"), size + 1)));
  ASSERT_TRUE(extended.ok()) << extended;
  EXPECT_EQ(base::HexEncode(base::Sha256(bench.Content(name("o")))),
            base::HexEncode(base::Sha256(LargeContent(size) + LargeContent(size + 1))));
}

void Checks(StoreBench& bench) {
  const absl::Status checked = bench.Run(bench.store().Check());
  EXPECT_TRUE(checked.ok()) << checked;
}

void GrowsAtItsOffsets(StoreBench& bench) {
  const Names name(bench, "grow");
  ASSERT_TRUE(bench.Write(name("a/b/stdout"), 0, "hello ").ok());
  ASSERT_TRUE(bench.Write(name("a/b/stdout"), 6, "world").ok());
  ASSERT_TRUE(bench.Write(name("a/b/stdout"), 6, "world").ok());
  EXPECT_EQ(bench.Content(name("a/b/stdout")), "hello world");
  ASSERT_TRUE(bench.Write(name("a/b/stdout"), 6, "world and all").ok());
  EXPECT_EQ(bench.Content(name("a/b/stdout")), "hello world and all");
  EXPECT_TRUE(bench.Run(bench.store().Sync(name("a/b/stdout"), 19)).ok());
}

void OffsetZeroBeginsAnew(StoreBench& bench) {
  const Names name(bench, "anew");
  ASSERT_TRUE(bench.Write(name("x"), 0, "of an earlier task").ok());
  ASSERT_TRUE(bench.Write(name("x"), 0, "new").ok());
  EXPECT_EQ(bench.Content(name("x")), "new");
  ASSERT_TRUE(bench.Run(bench.store().Put(PieceOf(name("x"), "a piece"))).ok());
  ASSERT_TRUE(bench.Write(name("x"), 0, "new").ok());
  EXPECT_EQ(bench.Content(name("x")), "new");
}

void NeverLeavesAGap(StoreBench& bench) {
  const Names name(bench, "gap");
  EXPECT_TRUE(absl::IsOutOfRange(bench.Write(name("x"), 5, "z")));
  ASSERT_TRUE(bench.Write(name("x"), 0, "12345").ok());
  EXPECT_TRUE(absl::IsOutOfRange(bench.Write(name("x"), 6, "z")));
  EXPECT_TRUE(absl::IsOutOfRange(bench.Run(bench.store().Sync(name("x"), 6))));
  EXPECT_TRUE(absl::IsOutOfRange(bench.Run(bench.store().Sync(name("y"), 1))));
  EXPECT_EQ(bench.Content(name("x")), "12345");
}

void CutsWhatADeadWriterLeft(StoreBench& bench) {
  const Names name(bench, "left");
  ASSERT_TRUE(bench.Write(name("x"), 0, "12345").ok());
  ASSERT_TRUE(bench.Write(name("x"), 5, "6789").ok());
  const absl::Status cut = bench.Run(bench.store().Sync(name("x"), 3));
  ASSERT_TRUE(cut.ok()) << cut;
  EXPECT_EQ(bench.Content(name("x")), "123");
  // Goes on growing; other bytes replace what is there.
  ASSERT_TRUE(bench.Write(name("x"), 3, "abc").ok());
  const absl::Status replaced = bench.Write(name("x"), 2, "Zb and more");
  ASSERT_TRUE(replaced.ok()) << replaced;
  EXPECT_TRUE(bench.Run(bench.store().Sync(name("x"), 13)).ok());
  EXPECT_EQ(bench.Content(name("x")), "12Zb and more");
}

void GrowsByLargeSteps(StoreBench& bench) {
  const Names name(bench, "grow_large");
  const std::string content = LargeContent(bench.large_bytes);
  constexpr size_t kStep = 100'001;
  for (size_t at = 0; at < content.size(); at += kStep) {
    const absl::Status written = bench.Write(name("x"), at, content.substr(at, kStep));
    ASSERT_TRUE(written.ok()) << written;
  }
  ASSERT_TRUE(bench.Run(bench.store().Sync(name("x"), content.size())).ok());
  EXPECT_EQ(base::HexEncode(base::Sha256(bench.Content(name("x")))),
            base::HexEncode(base::Sha256(content)));
}

}  // namespace

std::string StoreBench::Content(const std::string& name) {
  constexpr size_t kStep = 60'000;
  std::string content;
  for (;;) {
    auto data = Run(store_.Read(name, content.size(), kStep));
    if (!data.ok()) return data.status().ToString();
    content += *data;
    if (data->size() < kStep) return content;
  }
}

Piece PieceOf(std::string name, const std::string& content) {
  Piece piece{.name = std::move(name), .size = content.size(), .sha256 = base::Sha256(content)};
  piece.open = [content]() -> absl::StatusOr<std::unique_ptr<PieceSource>> {
    return std::make_unique<ContentSource>(content);
  };
  return piece;
}

std::string LargeContent(size_t size) {
  std::string content;
  content.reserve(size);
  AppendLarge(0, size, content);
  return content;
}

Piece LargePiece(std::string name, size_t size) {
  base::Sha256Stream hash;
  LargeSource all(size);
  for (;;) {
    const std::string data = *all.Next();
    if (data.empty()) break;
    hash.Add(data);
  }
  Piece piece{.name = std::move(name), .size = size, .sha256 = hash.Finish()};
  piece.open = [size]() -> absl::StatusOr<std::unique_ptr<PieceSource>> {
    return std::make_unique<LargeSource>(size);
  };
  return piece;
}

std::vector<StoreCase> StoreCases(bool can_append) {
  std::vector<StoreCase> cases = {
      {"PutIsWholeAndReplaces", PutIsWholeAndReplaces},
      {"PutLargePieces", PutLargePieces},
      {"WhatWasNotAnnouncedIsNotStored", WhatWasNotAnnouncedIsNotStored},
      {"ReadsAnyRange", ReadsAnyRange},
      {"NamesMayHaveAnyCharacter", NamesMayHaveAnyCharacter},
      {"ListsByPrefixSorted", ListsByPrefixSorted},
      {"RemovesAndForgets", RemovesAndForgets},
      {"RefusesBadNames", RefusesBadNames},
      {"ExtendsAndReplacesWhatWasBehind", ExtendsAndReplacesWhatWasBehind},
      {"ExtendsByLargeTails", ExtendsByLargeTails},
      {"Checks", Checks},
  };
  if (!can_append) return cases;
  const std::vector<StoreCase> growing = {
      {"GrowsAtItsOffsets", GrowsAtItsOffsets},
      {"OffsetZeroBeginsAnew", OffsetZeroBeginsAnew},
      {"NeverLeavesAGap", NeverLeavesAGap},
      {"CutsWhatADeadWriterLeft", CutsWhatADeadWriterLeft},
      {"GrowsByLargeSteps", GrowsByLargeSteps},
  };
  cases.insert(cases.end(), growing.begin(), growing.end());
  return cases;
}

}  // namespace boxkeeper::logs
