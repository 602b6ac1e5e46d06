#include "apiserver/api.h"

namespace tulle::apiserver {

void Body::append(std::string text) {
  auto owner = std::make_shared<const std::string>(std::move(text));
  std::string_view bytes = *owner;
  append_shared(std::move(owner), bytes);
}

void Body::append_shared(std::shared_ptr<const void> owner, std::string_view bytes) {
  if (bytes.empty()) return;
  size_ += bytes.size();
  pieces_.push_back(bytes);
  owners_.push_back(std::move(owner));
}

std::string Body::to_string() const {
  std::string text;
  text.reserve(size_);
  for (std::string_view piece : pieces_) text += piece;
  return text;
}

}  // namespace tulle::apiserver
