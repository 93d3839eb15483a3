#include "py/infeng/native/engine_bindings.h"

#include <pybind11/numpy.h>
#include <pybind11/stl.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>
#include <vector>

#include "cc/engine/engine.h"
#include "cc/kernels/sample/sample.h"
#include "py/infeng/native/raise.h"

namespace infeng {
namespace {

namespace py = pybind11;

using FloatArray = py::array_t<float, py::array::c_style | py::array::forcecast>;
using FloatRows = py::array_t<float, py::array::c_style>;
using IdArray = py::array_t<uint32_t, py::array::c_style>;
using Item = std::tuple<SequenceId, IdArray, AdapterId>;
using Target = std::tuple<size_t, std::string, FloatArray, FloatArray, float>;

// What Python passes for "no adapter".
constexpr AdapterId kPythonNoAdapter = -1;

template <class T>
std::span<const T> Flat(const py::array_t<T, py::array::c_style>& array, const char* name) {
  if (array.ndim() != 1) {
    throw py::value_error(std::string(name) + " has " + std::to_string(array.ndim()) +
                          " dimensions where 1 is needed");
  }
  return {array.data(), static_cast<size_t>(array.size())};
}

std::span<const float> Matrix(const FloatArray& array, const std::string& name) {
  if (array.ndim() != 2) {
    throw py::value_error(name + " has " + std::to_string(array.ndim()) +
                          " dimensions where 2 are needed");
  }
  return {array.data(), static_cast<size_t>(array.size())};
}

std::unique_ptr<Engine> Open(const std::string& path, int threads, const std::string& force_path,
                             const std::string& kv_dtype, size_t kv_pages) {
  const KvDtype kv = ValueOrRaise(ParseKvDtype(kv_dtype), NotFoundAs::kFileNotFoundError);
  StatusOr<std::unique_ptr<Engine>> engine = [&] {
    const py::gil_scoped_release release;
    return Engine::Open(
        path, {.threads = threads, .force_path = force_path, .kv_dtype = kv, .kv_pages = kv_pages});
  }();
  return ValueOrRaise(std::move(engine), NotFoundAs::kFileNotFoundError);
}

// [rows][vocab_size]: the first rows of `out`, or a new array.
FloatRows LogitsArray(const std::optional<FloatRows>& out, size_t rows, size_t vocab_size) {
  if (!out.has_value()) return FloatRows({rows, vocab_size});
  if (out->ndim() != 2 || static_cast<size_t>(out->shape(0)) < rows ||
      static_cast<size_t>(out->shape(1)) != vocab_size || !out->writeable()) {
    throw py::value_error("out must be writeable and [" + std::to_string(rows) + " or more, " +
                          std::to_string(vocab_size) + "]");
  }
  return FloatRows({rows, vocab_size}, out->data(), *out);
}

FloatRows Step(Engine& engine, const std::vector<Item>& batch, bool all_logits,
               const std::optional<FloatRows>& out,
               const std::optional<std::vector<size_t>>& logits_rows) {
  if (logits_rows.has_value() && logits_rows->size() != batch.size()) {
    throw py::value_error("logits_rows has " + std::to_string(logits_rows->size()) +
                          " numbers for " + std::to_string(batch.size()) + " items");
  }
  std::vector<BatchItem> items;
  items.reserve(batch.size());
  for (const auto& [sequence, ids, adapter] : batch) {
    items.push_back(
        {sequence, Flat(ids, "ids"), adapter == kPythonNoAdapter ? kNoAdapter : adapter});
    if (logits_rows.has_value()) items.back().logits_rows = (*logits_rows)[items.size() - 1];
  }
  const LogitsMode mode = all_logits ? LogitsMode::kAll : LogitsMode::kLast;
  FloatRows logits = LogitsArray(out, Engine::LogitsRows(items, mode), engine.vocab_size());
  const std::span<float> values(logits.mutable_data(), static_cast<size_t>(logits.size()));
  const Status status = [&] {
    const py::gil_scoped_release release;
    return engine.Step(items, mode, values);
  }();
  RaiseIfError(status, NotFoundAs::kKeyError);
  return logits;
}

AdapterId AddAdapter(Engine& engine, const std::string& name, const std::vector<Target>& targets) {
  std::vector<AdapterTarget> views;
  views.reserve(targets.size());
  for (const auto& [layer, module, a, b, scale] : targets) {
    std::string where = "adapter ";
    where.append(name).append(", layer ").append(std::to_string(layer)).append(", ").append(module);
    views.push_back({.layer = layer,
                     .module = module,
                     .rank = a.ndim() == 2 ? static_cast<size_t>(a.shape(0)) : 0,
                     .scale = scale,
                     .a = Matrix(a, where + ", A"),
                     .b = Matrix(b, where + ", B")});
    // The engine sees how many values B has, not its shape: a transposed B would pass.
    if (a.shape(0) != b.shape(1)) {
      throw py::value_error(where + ": A has " + std::to_string(a.shape(0)) + " rows and B " +
                            std::to_string(b.shape(1)) + " columns; both must be the rank");
    }
  }
  return ValueOrRaise(engine.AddAdapter(name, views), NotFoundAs::kKeyError);
}

std::string_view Section(const Engine& engine, const std::string& name) {
  return ValueOrRaise(engine.file().section(name), NotFoundAs::kKeyError);
}

void BindSampling(py::module_& m) {
  m.def(
      "logprobs",
      [](const py::array_t<float, py::array::c_style>& logits, uint32_t id, size_t count) {
        const auto found =
            ValueOrRaise(Logprobs(Flat(logits, "logits"), id, count), NotFoundAs::kKeyError);
        py::list result;
        for (const TokenLogprob& token : found) {
          result.append(py::make_tuple(token.id, token.logprob));
        }
        return result;
      },
      py::arg("logits"), py::arg("id"), py::arg("count"),
      "[(id, log of its probability at temperature 1)]: of the token `id`, then of the `count`\n"
      "likeliest. The same on every CPU. Raises ValueError.");
  m.def(
      "argmax",
      [](const py::array_t<float, py::array::c_style>& logits) {
        return ValueOrRaise(Argmax(Flat(logits, "logits")), NotFoundAs::kKeyError);
      },
      py::arg("logits"),
      "The id of the greatest logit, the lowest of equals. logits: float32 [vocab].\n\n"
      "Raises ValueError if there are none or one is NaN.");
  m.def(
      "sample",
      [](const py::array_t<float, py::array::c_style>& logits, float temperature, uint32_t top_k,
         float top_p, float min_p, uint64_t seed, uint64_t position) {
        const SampleParams params = {.temperature = temperature,
                                     .top_k = top_k,
                                     .top_p = top_p,
                                     .min_p = min_p,
                                     .seed = seed};
        return ValueOrRaise(Sample(Flat(logits, "logits"), params, position),
                            NotFoundAs::kKeyError);
      },
      py::arg("logits"), py::arg("temperature"), py::arg("top_k"), py::arg("top_p"),
      py::arg("min_p"), py::arg("seed"), py::arg("position"),
      "Draws an id from logits (float32 [vocab]): a pure function of its arguments, the same on\n"
      "every CPU. top_k 0, top_p 1 and min_p 0 keep all. Raises ValueError that names a "
      "parameter.");
}

}  // namespace

void BindEngine(py::module_& m) {
  py::class_<Engine>(m, "Engine",
                     "A model, the sequences that it has read and its adapters. Thread-safe.\n\n"
                     "Logits depend on a sequence's tokens, adapters and KV dtype alone.")
      .def(py::init(&Open), py::arg("path"), py::kw_only(), py::arg("threads") = 0,
           py::arg("force_path") = "auto", py::arg("kv_dtype") = "int8", py::arg("kv_pages") = 0,
           "Opens and checks an INFQ file. threads: 0 takes one per core. force_path: auto, "
           "scalar,\n"
           "avx2, avx512 or amx. kv_dtype: int8, int4, f16 or f32. kv_pages: pages of the KV cache "
           "at "
           "most,\n"
           "0 as memory allows. Raises FileNotFoundError, ValueError, MemoryError.")
      .def("step", &Step, py::arg("batch"), py::arg("all_logits") = false,
           py::arg("out") = py::none(), py::arg("logits_rows") = py::none(),
           "Appends ids to sequences: batch is a list of (sequence, uint32 ids, adapter or -1).\n\n"
           "Returns float32 [rows, vocab]: a row per item, of its last id; or with logits_rows, a\n"
           "number per item, for so many of its last ids; or per id with all_logits. With out, a\n"
           "float32 array of as many rows or more, its first rows, so that none is allocated. "
           "Raises\n"
           "KeyError (no such sequence or adapter), ValueError, MemoryError; then no sequence has\n"
           "changed.")
      .def("new_sequence", &Engine::NewSequence, "The id of a new, empty sequence.")
      .def(
          "fork_sequence",
          [](Engine& e, SequenceId id, size_t length) {
            return ValueOrRaise(e.ForkSequence(id, length), NotFoundAs::kKeyError);
          },
          py::arg("id"), py::arg("length"),
          "The id of a new sequence that holds the first `length` tokens of another. Full pages "
          "are\n"
          "shared, the rest of a page is copied. Raises KeyError, ValueError, MemoryError.")
      .def(
          "free_sequence",
          [](Engine& e, SequenceId id) { RaiseIfError(e.FreeSequence(id), NotFoundAs::kKeyError); },
          py::arg("id"), "Frees a sequence and its KV pages. Raises KeyError.")
      .def(
          "truncate_sequence",
          [](Engine& e, SequenceId id, size_t length) {
            RaiseIfError(e.TruncateSequence(id, length), NotFoundAs::kKeyError);
          },
          py::arg("id"), py::arg("length"),
          "Takes back all tokens of a sequence but the first `length`, as if they had never been "
          "read.\n"
          "Raises KeyError, ValueError, MemoryError; then nothing has changed.")
      .def(
          "sequence_length",
          [](Engine& e, SequenceId id) {
            return ValueOrRaise(e.SequenceLength(id), NotFoundAs::kKeyError);
          },
          py::arg("id"), "Tokens that a sequence holds. Raises KeyError.")
      .def("add_adapter", &AddAdapter, py::arg("name"), py::arg("targets"),
           "Adds a LoRA adapter and returns its id. targets: a list of (layer, module, A float32\n"
           "[rank, in], B float32 [out, rank], scale); y += scale * B(Ax). Raises ValueError that\n"
           "names the target.")
      .def(
          "remove_adapter",
          [](Engine& e, AdapterId id) { RaiseIfError(e.RemoveAdapter(id), NotFoundAs::kKeyError); },
          py::arg("id"), "Removes an adapter. Raises KeyError.")
      .def(
          "section",
          [](const Engine& e, const std::string& name) {
            const std::string_view bytes = Section(e, name);
            return py::bytes(bytes.data(), bytes.size());
          },
          py::arg("name"), "The bytes of an embedded section. Raises KeyError.")
      .def_property_readonly("header",
                             [](const Engine& e) {
                               const std::string_view header = e.file().header_json();
                               return py::str(header.data(), header.size());
                             })
      .def_property_readonly("tier", [](const Engine& e) { return TierName(e.tier()); })
      .def_property_readonly("threads", &Engine::threads)
      .def_property_readonly("vocab_size", &Engine::vocab_size)
      .def_property_readonly("kv_bytes", &Engine::kv_bytes)
      .def_property_readonly("kv_page_positions",
                             [](Engine& e) { return e.kv_usage().page_positions; })
      .def_property_readonly("kv_page_bytes", [](Engine& e) { return e.kv_usage().page_bytes; })
      .def_property_readonly("kv_pages_taken", [](Engine& e) { return e.kv_usage().pages_taken; });
  m.def(
      "kv_page_bytes",
      [](const std::string& kv_dtype, uint32_t layers, uint32_t kv_heads, uint32_t head_dim) {
        ModelConfig config;
        config.num_hidden_layers = layers;
        config.num_key_value_heads = kv_heads;
        config.head_dim = head_dim;
        const KvDtype dtype = ValueOrRaise(ParseKvDtype(kv_dtype), NotFoundAs::kKeyError);
        return std::pair(kPagePositions, KvPageBytes(config, dtype));
      },
      py::arg("kv_dtype"), py::arg("layers"), py::arg("kv_heads"), py::arg("head_dim"),
      "The positions that a page of keys and values holds, and its bytes. Raises ValueError.");
  BindSampling(m);
}

}  // namespace infeng
