#include "logs/remote/xml.h"

#include <pugixml.hpp>
#include <utility>

#include "absl/strings/str_cat.h"

namespace boxkeeper::logs::remote {

struct XmlElement::Document {
  pugi::xml_document parsed;
};

XmlElement::XmlElement(std::shared_ptr<Document> document, std::shared_ptr<pugi::xml_node> node)
    : document_(std::move(document)), node_(std::move(node)) {}

absl::StatusOr<XmlElement> XmlElement::Parse(const std::string& text) {
  auto document = std::make_shared<Document>();
  // parse_ws_pcdata_single: a name that is one space is a text, not layout.
  const auto result = document->parsed.load_buffer(
      text.data(), text.size(), pugi::parse_default | pugi::parse_ws_pcdata_single,
      pugi::encoding_utf8);
  if (!result) {
    return absl::InvalidArgumentError(absl::StrCat("no XML: ", result.description()));
  }
  auto root = std::make_shared<pugi::xml_node>(document->parsed.document_element());
  return XmlElement(std::move(document), std::move(root));
}

std::string XmlElement::name() const { return node_->name(); }

std::string XmlElement::Text(const std::string& path) const {
  return node_->first_element_by_path(path.c_str()).text().get();
}

bool XmlElement::Has(const std::string& path) const {
  return !node_->first_element_by_path(path.c_str()).empty();
}

std::vector<XmlElement> XmlElement::Children(const std::string& name) const {
  std::vector<XmlElement> children;
  for (const pugi::xml_node& child : node_->children(name.c_str())) {
    children.push_back(XmlElement(document_, std::make_shared<pugi::xml_node>(child)));
  }
  return children;
}

std::string XmlElement::text() const { return node_->text().get(); }

std::string XmlEscape(const std::string& text) {
  std::string out;
  out.reserve(text.size());
  for (const char c : text) {
    if (c == '&') {
      out += "&amp;";
    } else if (c == '<') {
      out += "&lt;";
    } else if (c == '>') {
      out += "&gt;";
    } else if (c == '"') {
      out += "&quot;";
    } else {
      out += static_cast<unsigned char>(c) < ' ' && c != '\n' && c != '\t' ? '?' : c;
    }
  }
  return out;
}

}  // namespace boxkeeper::logs::remote
