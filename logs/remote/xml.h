// The XML answers of S3 and Azure: small, flat, without namespaces that matter.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace pugi {
class xml_node;
}

namespace boxkeeper::logs::remote {

// One element. Keeps its document alive; an absent element is empty.
class XmlElement {
 public:
  // kInvalidArgument if `text` is no XML document. Entities other than the five of XML itself and
  // characters by number are not expanded.
  static absl::StatusOr<XmlElement> Parse(const std::string& text);

  // Of the root: "ListBucketResult".
  std::string name() const;
  // The text of the first element at `path` below this one ("Error/Code"); "" if there is none.
  std::string Text(const std::string& path) const;
  bool Has(const std::string& path) const;
  // The direct children of that name, in order.
  std::vector<XmlElement> Children(const std::string& name) const;
  // This element's own text.
  std::string text() const;

 private:
  struct Document;
  XmlElement(std::shared_ptr<Document> document, std::shared_ptr<pugi::xml_node> node);
  std::shared_ptr<Document> document_;
  std::shared_ptr<pugi::xml_node> node_;
};

// "&" and its likes escaped, for the bodies of our own requests. Control characters that XML cannot
// say become '?'.
std::string XmlEscape(const std::string& text);

}  // namespace boxkeeper::logs::remote
