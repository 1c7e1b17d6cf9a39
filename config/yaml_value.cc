#include "config/yaml_value.h"

#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/mark.h>
#include <yaml-cpp/parser.h>

#include <algorithm>
#include <charconv>
#include <map>
#include <optional>
#include <regex>
#include <sstream>
#include <unordered_map>
#include <utility>

#include "base/utf8.h"

namespace boxkeeper::config {
namespace {

using Kind = Value::Kind;

int LineOf(const YAML::Mark& mark) { return mark.line + 1; }

// Ends the parse after a mistake that makes going on pointless.
struct Stop {};

std::optional<double> ParseNumber(const std::string& text) {
  // YAML 1.2 core schema. Octal is 0o17; 017 is the number 17.
  static const std::regex kInteger("[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+");
  static const std::regex kFloat(R"([-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?)");
  constexpr size_t kNumberLengthMax = 64;
  if (text.empty() || text.size() > kNumberLengthMax) return std::nullopt;
  const bool integer = std::regex_match(text, kInteger);
  if (!integer && !std::regex_match(text, kFloat)) return std::nullopt;
  if (integer && text.size() > 2 && (text[1] == 'o' || text[1] == 'x')) {
    unsigned long long parsed = 0;
    const auto result = std::from_chars(text.data() + 2, text.data() + text.size(), parsed,
                                        text[1] == 'o' ? 8 : 16);
    if (result.ec != std::errc()) return std::nullopt;
    return static_cast<double>(parsed);
  }
  const size_t sign = text[0] == '+' ? 1 : 0;  // from_chars takes no plus sign
  double parsed = 0;
  const auto result = std::from_chars(text.data() + sign, text.data() + text.size(), parsed);
  if (result.ec != std::errc()) return std::nullopt;
  return parsed;
}

Value PlainScalar(const std::string& text) {
  Value value;
  value.text = text;
  if (text.empty() || text == "~" || text == "null" || text == "Null" || text == "NULL") {
    value.kind = Kind::kNull;
  } else if (text == "true" || text == "True" || text == "TRUE") {
    value.kind = Kind::kBool;
    value.boolean = true;
  } else if (text == "false" || text == "False" || text == "FALSE") {
    value.kind = Kind::kBool;
  } else if (auto number = ParseNumber(text); number.has_value()) {
    value.kind = Kind::kNumber;
    value.number = *number;
  } else {
    value.kind = Kind::kText;
  }
  return value;
}

// Bytes in front of the first that is no UTF-8.
size_t ValidUtf8Bytes(std::string_view text) {
  size_t at = 0;
  for (size_t length = 1; length > 0 && at < text.size(); at += length) {
    length = base::Utf8Length(text.substr(at));
  }
  return at;
}

size_t CountValues(const Value& value) {
  size_t count = 1;
  for (const Value& item : value.items) count += CountValues(item);
  for (const Value::Entry& entry : value.entries) count += CountValues(entry.value);
  return count;
}

// Builds the tree from yaml-cpp's events (its own Node loses duplicate keys and the marks of keys).
class Builder : public YAML::EventHandler {
 public:
  explicit Builder(std::vector<Problem>* problems) : problems_(problems) {}

  Value TakeRoot() { return std::move(root_); }

  void OnDocumentStart(const YAML::Mark&) override {}
  void OnDocumentEnd() override {}

  void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    Value value;
    value.line = LineOf(mark);
    Scalar(std::move(value), anchor, /*plain=*/true);
  }

  void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                const std::string& text) override {
    Value value;
    const bool plain = tag == "?" || tag.empty();
    if (plain) {
      value = PlainScalar(text);
    } else {
      value.kind = Kind::kText;
      value.text = text;
      if (tag != "!" && tag != "tag:yaml.org,2002:str") {
        Mistake(LineOf(mark), "the tag " + tag + " is not understood; allowed: !!str, or none");
      }
    }
    value.line = LineOf(mark);
    Scalar(std::move(value), anchor, plain);
  }

  void OnAlias(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    auto found = anchors_.find(anchor);
    Value value;
    if (found == anchors_.end()) {
      Mistake(LineOf(mark), "the alias lies inside what it stands for");
    } else {
      value = found->second;
      Count(CountValues(value), LineOf(mark));
    }
    value.line = LineOf(mark);
    Place(std::move(value), /*plain=*/false);
  }

  void OnSequenceStart(const YAML::Mark& mark, const std::string&, YAML::anchor_t anchor,
                       YAML::EmitterStyle::value) override {
    Open(Kind::kList, mark, anchor);
  }
  void OnMapStart(const YAML::Mark& mark, const std::string&, YAML::anchor_t anchor,
                  YAML::EmitterStyle::value) override {
    Open(Kind::kMap, mark, anchor);
  }
  void OnSequenceEnd() override { Close(); }
  void OnMapEnd() override { Close(); }

 private:
  struct Frame {
    Value value;
    YAML::anchor_t anchor = 0;
    bool have_key = false;
    bool key_is_merge = false;
    bool key_is_bad = false;  // its value is read and dropped
    std::string key;
    int key_line = 0;
    std::unordered_map<std::string, int> lines;  // of the keys so far
    std::vector<Value> merges;
  };

  std::string Path() const {
    std::string path;
    for (const Frame& frame : frames_) {
      if (frame.value.kind == Kind::kList) {
        path += "[" + std::to_string(frame.value.items.size()) + "]";
      } else if (frame.have_key) {
        path = Join(path, frame.key);
      }
    }
    return path;
  }

  void Mistake(int line, std::string message) {
    if (problems_->size() >= kYamlProblemsMax) throw Stop{};
    constexpr size_t kPathBytesMax = 256;  // of keys that may be as long as the file
    problems_->push_back(
        {.key = Path().substr(0, kPathBytesMax), .message = std::move(message), .line = line});
  }

  void Count(size_t values, int line) {
    count_ += values;
    if (count_ <= kYamlValuesMax) return;
    Mistake(line, "the file holds more than " + std::to_string(kYamlValuesMax) + " values");
    throw Stop{};
  }

  void Open(Kind kind, const YAML::Mark& mark, YAML::anchor_t anchor) {
    Count(1, LineOf(mark));
    if (frames_.size() >= static_cast<size_t>(kYamlDepthMax)) {
      Mistake(LineOf(mark), "nested deeper than " + std::to_string(kYamlDepthMax) + " levels");
      throw Stop{};
    }
    Frame frame;
    frame.value.kind = kind;
    frame.value.line = LineOf(mark);
    frame.anchor = anchor;
    frames_.push_back(std::move(frame));
  }

  void Close() {
    Frame frame = std::move(frames_.back());
    frames_.pop_back();
    for (const Value& merge : frame.merges) Merge(merge, &frame);
    if (frame.anchor != 0) anchors_[frame.anchor] = frame.value;
    Place(std::move(frame.value), /*plain=*/false);
  }

  void Scalar(Value value, YAML::anchor_t anchor, bool plain) {
    Count(1, value.line);
    if (anchor != 0) anchors_[anchor] = value;
    Place(std::move(value), plain);
  }

  // Puts a finished value where it belongs: the root, a list's end, a map's next key or that key's
  // value.
  void Place(Value value, bool plain) {
    if (frames_.empty()) {
      root_ = std::move(value);
      return;
    }
    Frame& frame = frames_.back();
    if (frame.value.kind == Kind::kList) {
      frame.value.items.push_back(std::move(value));
    } else if (!frame.have_key) {
      Key(frame, std::move(value), plain);
    } else {
      Entry(frame, std::move(value));
    }
  }

  void Key(Frame& frame, Value key, bool plain) {
    if (key.kind == Kind::kList || key.kind == Kind::kMap) {
      Mistake(key.line, "a key must be plain text");
      frame.key_is_bad = true;
    }
    frame.key = key.text;
    frame.key_line = key.line;
    frame.key_is_merge = plain && key.text == "<<";
    if (!frame.key_is_merge && !frame.key_is_bad) {
      const auto [first, is_new] = frame.lines.emplace(frame.key, key.line);
      if (!is_new) {
        frame.have_key = true;  // for the path
        Mistake(key.line, "the key is already there on line " + std::to_string(first->second) +
                              "; each key may stand once");
        frame.key_is_bad = true;
      }
    }
    frame.have_key = true;
  }

  void Entry(Frame& frame, Value value) {
    if (frame.key_is_merge) {
      const bool list = value.kind == Kind::kList;
      std::vector<Value> sources = list ? std::move(value.items) : std::vector<Value>{};
      if (!list) sources.push_back(std::move(value));
      for (Value& source : sources) {
        if (source.kind == Kind::kMap) {
          frame.merges.push_back(std::move(source));
        } else {
          Mistake(frame.key_line, "a merge key (<<) takes a map or a list of maps");
        }
      }
    } else if (!frame.key_is_bad) {
      frame.value.entries.push_back(
          {.key = std::move(frame.key), .line = frame.key_line, .value = std::move(value)});
    }
    frame.have_key = frame.key_is_merge = frame.key_is_bad = false;
    frame.key.clear();
  }

  // Keys that are already there win.
  static void Merge(const Value& source, Frame* target) {
    for (const Value::Entry& entry : source.entries) {
      if (target->lines.emplace(entry.key, entry.line).second) {
        target->value.entries.push_back(entry);
      }
    }
  }

  std::vector<Problem>* problems_;
  std::vector<Frame> frames_;
  std::map<YAML::anchor_t, Value> anchors_;  // finished ones
  size_t count_ = 0;
  Value root_;
};

}  // namespace

Value ParseYaml(const std::string& text, std::vector<Problem>* problems) {
  Value empty;
  empty.kind = Kind::kMap;
  empty.line = 1;
  if (text.size() > kYamlBytesMax) {
    problems->push_back({.key = "",
                         .message = "the file has " + std::to_string(text.size()) +
                                    " bytes; at most " + std::to_string(kYamlBytesMax) +
                                    " are allowed",
                         .line = 1});
    return empty;
  }
  // yaml-cpp lets any bytes through.
  const size_t valid = ValidUtf8Bytes(text);
  if (valid < text.size()) {
    const auto lines = std::count(text.begin(), text.begin() + static_cast<ptrdiff_t>(valid), '\n');
    problems->push_back({.key = "",
                         .message = "is not valid UTF-8; allowed: UTF-8 text",
                         .line = static_cast<int>(lines) + 1});
    return empty;
  }
  std::istringstream stream(text);
  Builder builder(problems);
  try {
    YAML::Parser parser(stream);
    if (!parser.HandleNextDocument(builder)) return empty;
    Value root = builder.TakeRoot();
    Builder rest(problems);
    if (parser.HandleNextDocument(rest)) {
      problems->push_back({.key = "",
                           .message = "a second document (---); one is allowed",
                           .line = std::max(1, rest.TakeRoot().line)});
    }
    return root.kind == Kind::kNull ? empty : root;
  } catch (const Stop&) {
    return empty;
  } catch (const YAML::Exception& error) {
    problems->push_back({.key = "",
                         .message = "malformed YAML: " + error.msg,
                         .line = error.mark.is_null() ? 1 : LineOf(error.mark)});
    return empty;
  }
}

}  // namespace boxkeeper::config
