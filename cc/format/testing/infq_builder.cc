#include "cc/format/testing/infq_builder.h"

#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <bit>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <nlohmann/json.hpp>
#include <random>
#include <utility>
#include <vector>

#include "cc/format/model_tensors.h"
#include "cc/format/testing/infq_edit.h"

namespace infeng {
namespace {

using nlohmann::json;

constexpr size_t kPanelRows = 16;

size_t RoundUp(size_t value, size_t multiple) {
  return (value + multiple - 1) / multiple * multiple;
}

template <class T>
std::string Bytes(const std::vector<T>& values) {
  return {reinterpret_cast<const char*>(values.data()), values.size() * sizeof(T)};
}

struct Matrix {
  size_t n;
  size_t k;
  std::vector<float> values;  // [n][k]
};

// The same for the same name and seed, whatever else is in the file.
Matrix RandomWeights(const std::string& name, const std::vector<uint64_t>& shape, uint32_t seed) {
  const bool vector = shape.size() == 1;
  Matrix m{vector ? 1 : shape[0], shape.back(), {}};
  uint32_t hash = seed;
  for (const char c : name) hash = hash * 31 + static_cast<unsigned char>(c);
  std::mt19937 random(hash);
  // Uniform in -1 ... 1; std's distributions differ between libraries.
  const auto next = [&] { return static_cast<float>(random()) * 0x1p-31F - 1.0F; };
  const bool embedding = name == "model.embed_tokens.weight";
  const float width = embedding ? 1.0F : std::sqrt(3.0F / static_cast<float>(m.k));
  m.values.resize(m.n * m.k);
  for (float& value : m.values) value = vector ? 1.0F + 0.1F * next() : width * next();
  return m;
}

std::string PackRows(const Matrix& m) {
  const size_t kp = RoundUp(m.k, 16);
  std::vector<float> rows(m.n * kp);
  for (size_t i = 0; i < m.n; ++i) {
    std::copy_n(&m.values[i * m.k], m.k, &rows[i * kp]);
  }
  return Bytes(rows);
}

// The data and the scales of panel16x4.
std::pair<std::string, std::string> PackPanels(const Matrix& m, size_t group) {
  const size_t np = RoundUp(m.n, kPanelRows);
  const size_t kp = RoundUp(m.k, group);
  std::vector<int8_t> q(np * kp);
  std::vector<uint16_t> scales(np * kp / group);
  for (size_t n = 0; n < m.n; ++n) {
    const size_t panel = n / kPanelRows;
    const size_t lane = n % kPanelRows;
    for (size_t g = 0; g < kp / group; ++g) {
      const size_t end = std::min(m.k, (g + 1) * group);
      float largest = 0;
      for (size_t k = g * group; k < end; ++k) {
        largest = std::max(largest, std::abs(m.values[n * m.k + k]));
      }
      // Rounded up to bfloat16, so that no weight exceeds 127.
      const auto bits =
          static_cast<uint16_t>((std::bit_cast<uint32_t>(largest / 127.0F) + 0xffff) >> 16);
      scales[(panel * (kp / group) + g) * kPanelRows + lane] = bits;
      if (bits == 0) continue;
      const float scale = std::bit_cast<float>(uint32_t{bits} << 16);
      for (size_t k = g * group; k < end; ++k) {
        q[((panel * (kp / 4) + k / 4) * kPanelRows + lane) * 4 + k % 4] =
            static_cast<int8_t>(std::nearbyint(m.values[n * m.k + k] / scale));
      }
    }
  }
  return {Bytes(q), Bytes(scales)};
}

// A positive f32 of at most 65504 to binary16, rounded up.
uint16_t HalfUp(float value) {
  int exponent = 0;
  std::frexp(value, &exponent);
  exponent = std::max(exponent, -13);
  const auto mantissa = static_cast<int>(std::ceil(std::ldexp(value, 11 - exponent)));
  return static_cast<uint16_t>(((exponent + 13) << 10) + mantissa);
}

float HalfValue(uint16_t bits) {
  const int exponent = std::max(bits >> 10 & 31, 1);
  const int mantissa = (bits & 1023) + ((bits & 0x7c00) != 0 ? 1024 : 0);
  const auto value = static_cast<float>(std::ldexp(mantissa, exponent - 25));
  return bits >> 15 != 0 ? -value : value;
}

// The data, and scales and minima, of panel16x8: from -8 to 7 steps.
std::pair<std::string, std::string> PackInt4(const Matrix& m) {
  constexpr size_t kGroup = 32;
  const size_t np = RoundUp(m.n, kPanelRows);
  const size_t kp = RoundUp(m.k, kGroup);
  std::vector<uint8_t> q(np * kp / 2);
  std::vector<uint16_t> scales(np * kp / kGroup * 2);
  for (size_t n = 0; n < m.n; ++n) {
    const size_t panel = n / kPanelRows;
    const size_t lane = n % kPanelRows;
    for (size_t g = 0; g < kp / kGroup; ++g) {
      const size_t end = std::min(m.k, (g + 1) * kGroup);
      float largest = 0;
      for (size_t k = g * kGroup; k < end; ++k) {
        largest = std::max(largest, std::abs(m.values[n * m.k + k]));
      }
      uint16_t* scale = &scales[(panel * (kp / kGroup) + g) * 2 * kPanelRows + lane];
      scale[0] = HalfUp(largest / 7.0F);
      // -8 times it, exact: three more in the exponent.
      scale[kPanelRows] = static_cast<uint16_t>(0x8000 + scale[0] + (3 << 10));
      for (size_t k = g * kGroup; k < end && scale[0] != 0; ++k) {
        const float steps = m.values[n * m.k + k] / HalfValue(scale[0]);
        const auto u = static_cast<uint8_t>(std::nearbyint(steps) + 8);
        uint8_t& byte = q[(panel * (kp / 8) + k / 8) * 64 + lane * 4 + k % 4];
        byte = static_cast<uint8_t>(byte | (k % 8 < 4 ? u : u << 4));
      }
    }
  }
  return {Bytes(q), Bytes(scales)};
}

// The header, and the bytes of its pieces in the order of the file.
struct Parts {
  // entry: where in the header the piece's offset, length and sum go.
  void Add(const std::string& entry, std::string bytes) {
    header[json::json_pointer(entry)] = {
        {"offset", 0}, {"bytes", bytes.size()}, {"xxh3", "0000000000000000"}};
    pieces.emplace_back(entry, std::move(bytes));
  }

  json header;
  std::vector<std::pair<json::json_pointer, std::string>> pieces;
};

json ConfigJson(const ModelConfig& c) {
  return {{"hidden_size", c.hidden_size},
          {"intermediate_size", c.intermediate_size},
          {"num_hidden_layers", c.num_hidden_layers},
          {"num_attention_heads", c.num_attention_heads},
          {"num_key_value_heads", c.num_key_value_heads},
          {"head_dim", c.head_dim},
          {"vocab_size", c.vocab_size},
          {"max_position_embeddings", c.max_position_embeddings},
          {"rms_norm_eps", c.rms_norm_eps},
          {"rope_theta", c.rope_theta},
          {"tie_word_embeddings", c.tie_word_embeddings},
          {"bos_token_id", c.bos_token_id < 0 ? json() : json(c.bos_token_id)},
          {"eos_token_ids", c.eos_token_ids}};
}

int ActivationDigits(const std::string& name, bool tied) {
  const bool head = name == (tied ? "model.embed_tokens.weight" : "lm_head.weight");
  return head || name.ends_with(".v_proj.weight") ? 2 : 1;
}

void AddSection(const char* name, const std::string& bytes, Parts* parts) {
  json& sections = parts->header["sections"];
  const std::string entry = "/sections/" + std::to_string(sections.size());
  parts->Add(entry, bytes);
  parts->header[json::json_pointer(entry)]["name"] = name;
}

void AddTensor(const std::string& name, const std::vector<uint64_t>& shape,
               const InfqOptions& options, Parts* parts) {
  json& tensors = parts->header["tensors"];
  const std::string entry = "/tensors/" + std::to_string(tensors.size());
  const Matrix weights = RandomWeights(name, shape, options.seed);
  const bool quantised = options.int8 && shape.size() == 2;
  const bool int4 = quantised && options.int4 && name.starts_with("model.layers.");
  tensors.push_back({{"name", name},
                     {"shape", shape},
                     {"dtype", int4        ? "u4"
                               : quantised ? "i8"
                                           : "f32"},
                     {"layout", int4        ? "panel16x8"
                                : quantised ? "panel16x4"
                                            : "rows"}});
  if (!quantised) {
    parts->Add(entry + "/data", PackRows(weights));
    return;
  }
  tensors.back()["group"] = int4 ? 32 : options.group;
  tensors.back()["activation_digits"] = ActivationDigits(name, options.config.tie_word_embeddings);
  auto [data, scale] = int4 ? PackInt4(weights) : PackPanels(weights, options.group);
  parts->Add(entry + "/data", std::move(data));
  parts->Add(entry + "/scale", std::move(scale));
}

std::string Assemble(Parts parts, size_t header_room) {
  // Greater offsets have more digits and make the header longer, so repeat until it fits.
  size_t start = 0;
  size_t end = 0;
  for (size_t needed = 64; start < needed;) {
    start = needed;
    end = start;
    for (auto& [entry, bytes] : parts.pieces) {
      const size_t offset = RoundUp(end, 64);
      parts.header[entry]["offset"] = offset;
      end = offset + bytes.size();
    }
    needed = RoundUp(64 + parts.header.dump().size() + header_room, 64);
  }
  std::string file(end, '\0');
  file.replace(0, 5, std::string("INFQ\x01", 5));
  for (const auto& [entry, bytes] : parts.pieces) {
    file.replace(parts.header[entry]["offset"].get<size_t>(), bytes.size(), bytes);
  }
  ReplaceHeader(&file, parts.header.dump());
  ResealSections(&file);
  return file;
}

}  // namespace

ModelConfig TinyConfig() {
  ModelConfig c;
  c.hidden_size = 64;
  c.intermediate_size = 96;
  c.num_hidden_layers = 2;
  c.num_attention_heads = 4;
  c.num_key_value_heads = 2;
  c.head_dim = 16;
  c.vocab_size = 96;
  c.max_position_embeddings = 512;
  c.rms_norm_eps = 1e-5;
  c.rope_theta = 10000;
  c.tie_word_embeddings = true;
  c.bos_token_id = 1;
  c.eos_token_ids = {2};
  return c;
}

std::string BuildInfq(const InfqOptions& options) {
  Parts parts;
  parts.header = {{"kind", "model"},
                  {"tool", "infq_builder"},
                  {"architecture", "llama"},
                  {"recipe", options.int4   ? "int4"
                             : options.int8 ? "int8"
                                            : "f32"},
                  {"config", ConfigJson(options.config)},
                  {"source", json::array()},
                  {"sections", json::array()},
                  {"tensors", json::array()}};
  AddSection("tokenizer.json", options.tokenizer, &parts);
  AddSection("chat_template", options.chat_template, &parts);
  for (const auto& [name, shape] : ModelTensors(options.config)) {
    AddTensor(name, shape, options, &parts);
  }
  return Assemble(std::move(parts), options.header_room);
}

std::string WriteTestFile(std::string_view bytes) {
  static std::atomic<int> count = 0;
  const char* folder = std::getenv("TEST_TMPDIR");
  std::string path = std::string(folder == nullptr ? "/tmp" : folder) + "/infq_test_" +
                     std::to_string(getpid()) + "_" + std::to_string(count++) + ".infq";
  std::ofstream file(path, std::ios::binary);
  file.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  file.close();
  if (!file) std::abort();
  return path;
}

}  // namespace infeng
