#ifndef INFENG_CC_FORMAT_MODEL_FILE_H_
#define INFENG_CC_FORMAT_MODEL_FILE_H_

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "cc/base/status.h"
#include "cc/format/config.h"
#include "cc/format/mapped_file.h"
#include "cc/format/tensor_view.h"

namespace infeng {

// A model in an INFQ file (docs/infq.md), mapped read-only. Immutable: threads may share it.
// What it hands out points into the mapping and lives as long as the ModelFile.
class ModelFile {
 public:
  // Maps the file and checks all of it: nothing is handed out that was not checked.
  // Errors, one line each that names the file: NotFound (no such file), InvalidArgument (not a
  // file that can be mapped, no permission), DataLoss (damaged: section or tensor, expected and
  // found), ResourceExhausted (the mapping fails).
  static StatusOr<std::unique_ptr<ModelFile>> Open(const std::string& path);

  const std::string& path() const { return path_; }
  const ModelConfig& config() const { return config_; }
  const std::string& recipe() const { return recipe_; }  // "int8", "int4", "f32"
  std::string_view header_json() const { return header_json_; }

  // "tokenizer.json" or "chat_template". NotFound if the file has no such section.
  StatusOr<std::string_view> section(std::string_view name) const;

  // nullptr if the model has no such tensor. Those of `config` are all there.
  const TensorView* tensor(std::string_view name) const;

  // By name, in lexical order.
  const std::map<std::string, TensorView, std::less<>>& tensors() const { return tensors_; }

 private:
  ModelFile() = default;
  Status Check();

  std::string path_;
  MappedFile mapping_;
  std::string_view header_json_;
  std::string recipe_;
  ModelConfig config_;
  std::map<std::string, std::string_view, std::less<>> sections_;
  std::map<std::string, TensorView, std::less<>> tensors_;
};

}  // namespace infeng

#endif  // INFENG_CC_FORMAT_MODEL_FILE_H_
