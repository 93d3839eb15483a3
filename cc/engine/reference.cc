#include "cc/engine/reference.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <string>

namespace infeng {
namespace {

using Vector = std::vector<double>;

// Of a finite binary16.
double HalfValue(uint16_t bits) {
  const int exponent = std::max(bits >> 10 & 31, 1);
  const int mantissa = (bits & 1023) + ((bits & 0x7c00) != 0 ? 1024 : 0);
  return (bits >> 15 != 0 ? -1.0 : 1.0) * std::ldexp(mantissa, exponent - 25);
}

double WeightAt(const TensorView& w, size_t row, size_t column) {
  if (w.dtype == DType::kF32) return w.f32[row * w.kp + column];
  const size_t panel = row / 16;
  const size_t lane = row % 16;
  if (w.dtype == DType::kU4) {
    const uint16_t* group = w.scale + (panel * (w.kp / w.group) + column / w.group) * 32 + lane;
    const int byte = w.u4[(panel * (w.kp / 8) + column / 8) * 64 + lane * 4 + column % 4];
    return HalfValue(group[0]) * (column % 8 < 4 ? byte & 15 : byte >> 4) + HalfValue(group[16]);
  }
  const uint32_t bits = w.scale[(panel * (w.kp / w.group) + column / w.group) * 16 + lane];
  return static_cast<double>(std::bit_cast<float>(bits << 16)) *
         w.i8[(panel * (w.kp / 4) + column / 4) * 64 + lane * 4 + column % 4];
}

struct Model {
  const ModelFile& file;
  std::span<const AdapterTarget> adapter;

  const TensorView& Tensor(const std::string& name) const { return *file.tensor(name); }

  Vector Matrix(const TensorView& w, const Vector& x) const {
    Vector y(w.n);
    for (size_t n = 0; n < w.n; ++n) {
      for (size_t k = 0; k < w.k; ++k) y[n] += WeightAt(w, n, k) * x[k];
    }
    return y;
  }

  Vector Linear(size_t layer, const std::string& part, const std::string& module,
                const Vector& x) const {
    const std::string name =
        "model.layers." + std::to_string(layer) + "." + part + "." + module + ".weight";
    Vector y = Matrix(Tensor(name), x);
    for (const AdapterTarget& target : adapter) {
      if (target.layer != layer || target.module != module) continue;
      for (size_t r = 0; r < target.rank; ++r) {
        double low = 0;
        for (size_t k = 0; k < x.size(); ++k) low += double{target.a[r * x.size() + k]} * x[k];
        for (size_t n = 0; n < y.size(); ++n) {
          y[n] += double{target.scale} * target.b[n * target.rank + r] * low;
        }
      }
    }
    return y;
  }

  Vector Norm(const std::string& name, const Vector& x) const {
    double sum = 0;
    for (const double v : x) sum += v * v;
    const double factor =
        1 / std::sqrt(sum / static_cast<double>(x.size()) + file.config().rms_norm_eps);
    Vector y(x.size());
    for (size_t i = 0; i < x.size(); ++i) y[i] = x[i] * factor * Tensor(name).f32[i];
    return y;
  }

  void Rotate(Vector* x, size_t position) const {
    const auto dim = static_cast<size_t>(file.config().head_dim);
    for (size_t head = 0; head < x->size() / dim; ++head) {
      for (size_t i = 0; i < dim / 2; ++i) {
        const double angle = static_cast<double>(position) *
                             std::pow(file.config().rope_theta,
                                      -2 * static_cast<double>(i) / static_cast<double>(dim));
        double& a = (*x)[head * dim + i];
        double& b = (*x)[head * dim + i + dim / 2];
        const double rotated = a * std::cos(angle) - b * std::sin(angle);
        b = b * std::cos(angle) + a * std::sin(angle);
        a = rotated;
      }
    }
  }
};

void AddTo(Vector* x, const Vector& y) {
  for (size_t i = 0; i < x->size(); ++i) (*x)[i] += y[i];
}

}  // namespace

std::vector<double> ReferenceLogits(const ModelFile& file, std::span<const uint32_t> ids,
                                    std::span<const AdapterTarget> adapter) {
  const Model model{file, adapter};
  const ModelConfig& config = file.config();
  const auto layers = static_cast<size_t>(config.num_hidden_layers);
  const auto dim = static_cast<size_t>(config.head_dim);
  const auto heads = static_cast<size_t>(config.num_attention_heads);
  const size_t group = heads / static_cast<size_t>(config.num_key_value_heads);
  const TensorView& embedding = model.Tensor("model.embed_tokens.weight");
  const TensorView& head = config.tie_word_embeddings ? embedding : model.Tensor("lm_head.weight");
  std::vector<std::vector<Vector>> keys(layers);
  std::vector<std::vector<Vector>> values(layers);
  std::vector<double> logits;
  for (size_t position = 0; position < ids.size(); ++position) {
    Vector x(embedding.k);
    for (size_t i = 0; i < x.size(); ++i) x[i] = WeightAt(embedding, ids[position], i);
    for (size_t l = 0; l < layers; ++l) {
      const std::string prefix = "model.layers." + std::to_string(l) + ".";
      const Vector h = model.Norm(prefix + "input_layernorm.weight", x);
      Vector q = model.Linear(l, "self_attn", "q_proj", h);
      Vector k = model.Linear(l, "self_attn", "k_proj", h);
      model.Rotate(&q, position);
      model.Rotate(&k, position);
      keys[l].push_back(k);
      values[l].push_back(model.Linear(l, "self_attn", "v_proj", h));
      Vector attended(heads * dim);
      for (size_t i = 0; i < heads; ++i) {
        const size_t kv = i / group * dim;
        Vector weight(position + 1);
        double total = 0;
        for (size_t j = 0; j <= position; ++j) {
          double dot = 0;
          for (size_t d = 0; d < dim; ++d) dot += q[i * dim + d] * keys[l][j][kv + d];
          weight[j] = std::exp(dot / std::sqrt(static_cast<double>(dim)));
          total += weight[j];
        }
        for (size_t j = 0; j <= position; ++j) {
          for (size_t d = 0; d < dim; ++d) {
            attended[i * dim + d] += weight[j] / total * values[l][j][kv + d];
          }
        }
      }
      AddTo(&x, model.Linear(l, "self_attn", "o_proj", attended));
      const Vector m = model.Norm(prefix + "post_attention_layernorm.weight", x);
      Vector gate = model.Linear(l, "mlp", "gate_proj", m);
      const Vector up = model.Linear(l, "mlp", "up_proj", m);
      for (size_t i = 0; i < gate.size(); ++i) gate[i] *= up[i] / (1 + std::exp(-gate[i]));
      AddTo(&x, model.Linear(l, "mlp", "down_proj", gate));
    }
    const Vector row = model.Matrix(head, model.Norm("model.norm.weight", x));
    logits.insert(logits.end(), row.begin(), row.end());
  }
  return logits;
}

}  // namespace infeng
