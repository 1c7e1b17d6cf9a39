#include "providers/local/images/image_catalog.h"

#include <boost/asio/post.hpp>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/log.h"
#include "base/status_macros.h"

namespace boxkeeper::providers::local {
namespace asio = boost::asio;

ImageCatalog::ImageCatalog(asio::any_io_executor loop, base::Clock& clock,
                           const std::map<std::string, std::string>& images, std::string directory)
    : loop_(std::move(loop)), store_(std::move(directory)), changed_(clock) {
  for (const auto& [name, path] : images) images_[name].path = path;
}

ImageCatalog::~ImageCatalog() {
  stop_ = true;
  thread_.join();
}

template <typename Work, typename Done>
void ImageCatalog::OnThread(Work work, Done done) {
  auto job = [loop = loop_, weak = std::weak_ptr<ImageCatalog*>(self_), work = std::move(work),
              done = std::move(done)]() mutable {
    auto finish = [weak, result = work(), done = std::move(done)]() mutable {
      if (weak.lock() != nullptr) done(std::move(result));
    };
    asio::post(loop, std::move(finish));
  };
  asio::post(thread_, std::move(job));
}

asio::awaitable<absl::Status> ImageCatalog::Open(base::BootTime deadline) {
  if (!opening_) {
    opening_ = true;
    std::map<std::string, std::string> unknown;
    for (const auto& [name, image] : images_) {
      if (!image.resolved.ok()) unknown[name] = image.path;
    }
    struct Findings {
      std::map<std::string, absl::StatusOr<ResolvedImage>> resolved;
      std::set<std::string> unpacked;
    };
    auto look = [this, unknown = std::move(unknown)] {
      Findings found;
      for (const auto& [name, path] : unknown) found.resolved.emplace(name, ResolveImage(path));
      found.unpacked = store_.Names();
      return found;
    };
    OnThread(std::move(look), [this](Findings found) {
      for (auto& [name, result] : found.resolved) images_.at(name).resolved = std::move(result);
      for (const auto& [name, image] : images_) {
        if (image.resolved.ok()) found.unpacked.erase(image.resolved->digest);
      }
      has_unused_ = !found.unpacked.empty();
      opening_ = false;
      changed_.NotifyAll();
    });
  }
  while (opening_) {
    absl::Status waited = co_await changed_.Wait(deadline);
    CO_RETURN_IF_ERROR(waited);
  }
  const std::vector<std::string> complaints = Complaints();
  if (complaints.empty()) co_return absl::OkStatus();
  co_return absl::InvalidArgumentError(absl::StrJoin(complaints, "; "));
}

void ImageCatalog::StartPreparing(Image& image) {
  image.preparing = true;
  struct Result {
    absl::StatusOr<ResolvedImage> resolved;
    absl::StatusOr<std::string> root;
  };
  auto work = [path = image.path, resolved = image.resolved, this]() mutable -> Result {
    if (!resolved.ok()) resolved = ResolveImage(path);
    if (!resolved.ok()) return {resolved, resolved.status()};
    auto root = store_.Prepare(*resolved, stop_);
    return {std::move(resolved), std::move(root)};
  };
  OnThread(std::move(work), [this, &image](Result result) {
    image.resolved = std::move(result.resolved);
    image.root = std::move(result.root);
    image.preparing = false;
    changed_.NotifyAll();
  });
}

asio::awaitable<absl::StatusOr<PreparedImage>> ImageCatalog::Prepare(std::string name,
                                                                     base::BootTime deadline) {
  const auto found = images_.find(name);
  if (found == images_.end()) {
    co_return absl::NotFoundError(absl::StrCat("no image is called '", name, "'"));
  }
  Image& image = found->second;
  for (bool waited = false; !image.root.ok(); waited = true) {
    if (!image.preparing) {
      if (waited) {
        const absl::Status& why = image.root.status();
        co_return absl::Status(why.code(),
                               absl::StrCat("image '", name, "': ", std::string(why.message())));
      }
      StartPreparing(image);
    }
    absl::Status status = co_await changed_.Wait(deadline);
    CO_RETURN_IF_ERROR(status);
  }
  co_return PreparedImage{*image.root, image.resolved->digest, image.resolved->defaults};
}

void ImageCatalog::RemoveUnused(std::set<std::string> used) {
  for (const auto& [name, image] : images_) {
    if (!image.resolved.ok()) return;
    used.insert(image.resolved->digest);
  }
  auto remove = [this, used = std::move(used)] { return store_.RemoveOthers(used); };
  OnThread(std::move(remove), [](const absl::Status& status) {
    base::LogIfError(status, "an image that nobody uses stays on the disk");
  });
}

std::vector<std::string> ImageCatalog::Complaints() const {
  std::vector<std::string> complaints;
  for (const auto& [name, image] : images_) {
    if (image.resolved.ok() || absl::IsUnavailable(image.resolved.status())) continue;
    complaints.push_back(
        absl::StrCat("images.", name, ": ", std::string(image.resolved.status().message())));
  }
  return complaints;
}

}  // namespace boxkeeper::providers::local
