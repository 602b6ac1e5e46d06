// Finds the images in a staged archive: docker-archive (manifest.json) or OCI layout (index.json).
#pragma once

#include "base/result.h"
#include "node/image_manifest.h"

#include <string>
#include <vector>

namespace tulle::node {

class StagedArchive;

// What is known of an image before its layers are unpacked.
struct ArchivedImage {
  std::string id;           // the digest of config_json
  std::string config_json;  // as the archive holds it
  ImageDocument document;
  std::vector<std::string> layer_tars;  // paths, one for each of document.diff_digests
  std::vector<std::string> names;       // as the archive writes them; perhaps none
};

// From an image's configuration, without layer_tars and names. `layers` is how many its manifest
// has. Errors: malformed; unsupported, where it is for another platform.
Result<ArchivedImage> describe_image(std::string config_json, std::size_t layers);

// Errors: malformed, with the document that is wrong; unsupported, where all that the archive
// holds is for another platform.
Result<std::vector<ArchivedImage>> find_images(const StagedArchive& archive);

}  // namespace tulle::node
