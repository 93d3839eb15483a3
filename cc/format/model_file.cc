#include "cc/format/model_file.h"

#include <new>
#include <utility>

#include "cc/format/contents.h"
#include "cc/format/extents.h"
#include "cc/format/header.h"
#include "cc/format/prelude.h"
#include "cc/format/quote.h"
#include "cc/format/tensors.h"

namespace infeng {
namespace {

constexpr std::string_view kTokenizer = "tokenizer.json";
constexpr std::string_view kChatTemplate = "chat_template";

// All the pieces of the file: those of sections and of tensors.
std::vector<Extent> AllExtents(const Header& header) {
  std::vector<Extent> extents;
  for (const SectionEntry& section : header.sections) extents.push_back(section.data);
  for (const TensorEntry& tensor : header.tensors) {
    extents.push_back(tensor.data);
    if (tensor.group != 0) extents.push_back(tensor.scale);
  }
  return extents;
}

Status CheckSectionNames(const std::vector<SectionEntry>& sections) {
  bool tokenizer = false;
  bool chat_template = false;
  for (const SectionEntry& section : sections) {
    const bool known = section.name == kTokenizer || section.name == kChatTemplate;
    if (!known) return DataLoss(section.data.what + ": version 1 has no such section");
    bool& seen = section.name == kTokenizer ? tokenizer : chat_template;
    if (std::exchange(seen, true)) return DataLoss(section.data.what + ": is there twice");
    if (section.name == kTokenizer && section.data.bytes == 0) {
      return DataLoss(section.data.what + ": is empty");
    }
  }
  if (!tokenizer) return DataLoss("section \"tokenizer.json\": is missing");
  return {};
}

}  // namespace

StatusOr<std::unique_ptr<ModelFile>> ModelFile::Open(const std::string& path) {
  try {
    std::unique_ptr<ModelFile> file(new ModelFile);
    file->path_ = path;
    INFENG_ASSIGN_OR_RETURN(file->mapping_, MappedFile::Open(path));
    if (const Status status = file->Check(); !status.ok()) {
      return Status(status.code(), path + ": " + status.message());
    }
    return file;
  } catch (const std::bad_alloc&) {
    return ResourceExhausted(path + ": not enough memory for the header");
  }
}

// The order matters: each step relies on what those before it have checked.
Status ModelFile::Check() {
  const std::string_view bytes = mapping_.bytes();
  INFENG_ASSIGN_OR_RETURN(header_json_, ReadPrelude(bytes));
  INFENG_ASSIGN_OR_RETURN(Header header, ParseHeader(header_json_));
  INFENG_RETURN_IF_ERROR(CheckSectionNames(header.sections));
  INFENG_ASSIGN_OR_RETURN(tensors_, CheckTensors(header));
  INFENG_RETURN_IF_ERROR(
      CheckExtents(bytes, kPreludeBytes + header_json_.size(), AllExtents(header)));
  for (const SectionEntry& section : header.sections) {
    const std::string_view data = BytesOf(bytes, section.data);
    INFENG_RETURN_IF_ERROR(CheckSum(data, section.data));
    sections_.emplace(section.name, data);
  }
  for (const TensorEntry& tensor : header.tensors) {
    INFENG_RETURN_IF_ERROR(BindTensor(bytes, tensor, &tensors_.find(tensor.name)->second));
  }
  recipe_ = std::move(header.recipe);
  config_ = std::move(header.config);
  return {};
}

StatusOr<std::string_view> ModelFile::section(std::string_view name) const {
  const auto found = sections_.find(name);
  if (found == sections_.end()) return NotFound(path_ + ": no section " + Quote(name));
  return found->second;
}

const TensorView* ModelFile::tensor(std::string_view name) const {
  const auto found = tensors_.find(name);
  return found == tensors_.end() ? nullptr : &found->second;
}

}  // namespace infeng
