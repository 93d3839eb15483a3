#include "cc/format/model_file.h"

#include <sys/stat.h>
#include <unistd.h>

#include <bit>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <fstream>
#include <limits>
#include <string>
#include <vector>

#include "cc/format/testing/infq_builder.h"
#include "cc/format/testing/infq_edit.h"
#include "gtest/gtest.h"

namespace infeng {
namespace {

using nlohmann::json;

// The error of opening these bytes, without the path that it must begin with.
std::string ErrorOf(const std::string& bytes) {
  const std::string path = WriteTestFile(bytes);
  const Status status = ModelFile::Open(path).status();
  unlink(path.c_str());
  if (status.ok()) return "accepted";
  EXPECT_EQ(status.code(), StatusCode::kDataLoss);
  EXPECT_TRUE(status.message().starts_with(path + ": ")) << status.message();
  EXPECT_EQ(status.message().find('\n'), std::string::npos);
  return status.message().substr(std::min(path.size() + 2, status.message().size()));
}

std::unique_ptr<ModelFile> MustOpen(const InfqOptions& options) {
  const std::string path = WriteTestFile(BuildInfq(options));
  StatusOr<std::unique_ptr<ModelFile>> file = ModelFile::Open(path);
  unlink(path.c_str());  // the mapping holds it
  EXPECT_TRUE(file.ok()) << file.status().message();
  return file.ok() ? *std::move(file) : nullptr;
}

float Weight(const TensorView& w, size_t n, size_t k) {
  if (w.dtype == DType::kF32) return w.f32[n * w.kp + k];
  const size_t panel = n / 16;
  const uint16_t bits = w.scale[(panel * (w.kp / w.group) + k / w.group) * 16 + n % 16];
  return std::bit_cast<float>(uint32_t{bits} << 16) *
         static_cast<float>(w.i8[((panel * (w.kp / 4) + k / 4) * 16 + n % 16) * 4 + k % 4]);
}

TEST(ModelFileTest, GivesWhatWasWritten) {
  InfqOptions options;
  options.tokenizer = R"({"a": "ü"})";
  options.chat_template = "{{ messages }}";
  const auto file = MustOpen(options);
  ASSERT_NE(file, nullptr);
  EXPECT_EQ(file->recipe(), "int8");
  EXPECT_EQ(*file->section("tokenizer.json"), options.tokenizer);
  EXPECT_EQ(*file->section("chat_template"), options.chat_template);
  EXPECT_EQ(file->section("vocab").status().code(), StatusCode::kNotFound);
  EXPECT_EQ(json::parse(file->header_json())["tool"], "infq_builder");

  const ModelConfig& c = file->config();
  EXPECT_EQ(c.hidden_size, 64U);
  EXPECT_EQ(c.intermediate_size, 96U);
  EXPECT_EQ(c.num_hidden_layers, 2U);
  EXPECT_EQ(c.num_attention_heads, 4U);
  EXPECT_EQ(c.num_key_value_heads, 2U);
  EXPECT_EQ(c.head_dim, 16U);
  EXPECT_EQ(c.vocab_size, 96U);
  EXPECT_EQ(c.max_position_embeddings, 512U);
  EXPECT_EQ(c.rms_norm_eps, 1e-5);
  EXPECT_EQ(c.rope_theta, 10000);
  EXPECT_TRUE(c.tie_word_embeddings);
  EXPECT_EQ(c.bos_token_id, 1);
  EXPECT_EQ(c.eos_token_ids, std::vector<uint32_t>{2});
}

TEST(ModelFileTest, TensorsHaveTheirShapes) {
  const auto file = MustOpen({});
  ASSERT_NE(file, nullptr);
  EXPECT_EQ(file->tensors().size(), 2U + 2 * 9);
  EXPECT_EQ(file->tensor("lm_head.weight"), nullptr);

  const TensorView* k = file->tensor("model.layers.1.self_attn.k_proj.weight");
  ASSERT_NE(k, nullptr);
  EXPECT_EQ(k->name, "model.layers.1.self_attn.k_proj.weight");
  EXPECT_EQ(k->dtype, DType::kI8);
  EXPECT_EQ(k->n, 32U);
  EXPECT_EQ(k->k, 64U);
  EXPECT_EQ(k->activation_digits, 1);
  EXPECT_EQ(file->tensor("model.layers.1.self_attn.v_proj.weight")->activation_digits, 2);
  EXPECT_EQ(file->tensor("model.layers.0.mlp.down_proj.weight")->k, 96U);

  const TensorView* norm = file->tensor("model.norm.weight");
  ASSERT_NE(norm, nullptr);
  EXPECT_EQ(norm->dtype, DType::kF32);
  EXPECT_EQ(norm->n, 1U);
  EXPECT_EQ(norm->k, 64U);
  for (const auto& [name, view] : file->tensors()) {
    EXPECT_EQ(reinterpret_cast<uintptr_t>(view.f32) % 64, 0U) << name;
    EXPECT_EQ(reinterpret_cast<uintptr_t>(view.i8) % 64, 0U) << name;
    EXPECT_EQ(reinterpret_cast<uintptr_t>(view.scale) % 64, 0U) << name;
  }
}

TEST(ModelFileTest, PadsSizesThatAreNoMultiples) {
  InfqOptions options;
  options.config.hidden_size = 40;
  options.config.vocab_size = 83;
  options.group = 64;
  options.config.tie_word_embeddings = false;
  options.config.bos_token_id = -1;
  options.config.eos_token_ids = {};
  const auto file = MustOpen(options);
  ASSERT_NE(file, nullptr);
  EXPECT_EQ(file->config().bos_token_id, -1);
  const TensorView* head = file->tensor("lm_head.weight");
  ASSERT_NE(head, nullptr);
  EXPECT_EQ(head->n, 83U);
  EXPECT_EQ(head->np, 96U);
  EXPECT_EQ(head->k, 40U);
  EXPECT_EQ(head->kp, 64U);
  EXPECT_EQ(file->tensor("model.norm.weight")->kp, 48U);
}

TEST(ModelFileTest, BothRecipesStandForTheSameWeights) {
  InfqOptions options;
  const auto int8 = MustOpen(options);
  options.int8 = false;
  const auto f32 = MustOpen(options);
  ASSERT_TRUE(int8 && f32);
  EXPECT_EQ(f32->recipe(), "f32");
  for (const auto& [name, exact] : f32->tensors()) {
    const TensorView& quantised = *int8->tensor(name);
    EXPECT_EQ(exact.dtype, DType::kF32);
    float error = 0;
    float largest = 0;
    for (size_t n = 0; n < exact.n; ++n) {
      for (size_t k = 0; k < exact.k; ++k) {
        const float w = Weight(exact, n, k);
        largest = std::max(largest, std::abs(w));
        error = std::max(error, std::abs(w - Weight(quantised, n, k)));
      }
    }
    EXPECT_LE(error, largest / 250) << name;
    EXPECT_EQ(error == 0, quantised.dtype == DType::kF32) << name;
  }
}

TEST(ModelFilePathTest, NamesWhatIsWrongWithThePath) {
  const StatusOr<std::unique_ptr<ModelFile>> missing = ModelFile::Open("/nonexistent/x.infq");
  EXPECT_EQ(missing.status().code(), StatusCode::kNotFound);
  EXPECT_EQ(missing.status().message(), "/nonexistent/x.infq: no such file");

  const Status folder = ModelFile::Open("/").status();
  EXPECT_EQ(folder.code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(folder.message(), "/: is a folder, not a file");

  EXPECT_EQ(ModelFile::Open("/dev/zero").status().message(), "/dev/zero: is not a regular file");
  EXPECT_EQ(ErrorOf(""), "the file is empty");
}

TEST(ModelFilePathTest, APipeDoesNotMakeItWait) {
  const std::string path = WriteTestFile("");
  unlink(path.c_str());
  ASSERT_EQ(mkfifo(path.c_str(), 0600), 0);
  EXPECT_EQ(ModelFile::Open(path).status().message(), path + ": is not a regular file");
  unlink(path.c_str());
}

TEST(ModelFilePathTest, AFileThatMayNotBeRead) {
  if (geteuid() == 0) GTEST_SKIP() << "root may read every file";
  const std::string path = WriteTestFile(BuildInfq());
  chmod(path.c_str(), 0);
  EXPECT_EQ(ModelFile::Open(path).status().message(),
            path + ": cannot be opened: Permission denied");
  unlink(path.c_str());
}

}  // namespace
}  // namespace infeng
