// Each way in which a file can be wrong, with good sums where sums would hide it, and the line that
// says so.

#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <functional>
#include <limits>
#include <string>
#include <vector>

#include "cc/format/model_file.h"
#include "cc/format/testing/infq_builder.h"
#include "cc/format/testing/infq_edit.h"
#include "gtest/gtest.h"

namespace infeng {
namespace {

using nlohmann::json;

constexpr const char* kDown = "model.layers.1.mlp.down_proj.weight";
constexpr const char* kNorm = "model.norm.weight";

std::string Healthy() {
  InfqOptions options;
  options.header_room = 2048;
  options.chat_template = "{{ messages }}";
  return BuildInfq(options);
}

json& Tensor(json& header, const std::string& name) {
  for (json& tensor : header["tensors"]) {
    if (tensor["name"] == name) return tensor;
  }
  std::abort();
}

size_t OffsetOf(const std::string& file, const char* tensor, const char* part) {
  json header = HeaderOf(file);
  return Tensor(header, tensor)[part]["offset"].get<size_t>();
}

struct Case {
  const char* name;
  std::function<void(std::string*)> damage;
  const char* expected;  // what the message says after the path
};

void PrintTo(const Case& c, std::ostream* out) { *out << c.name; }

Case Header(const char* name, std::function<void(json&)> edit, const char* expected) {
  return {name, [edit = std::move(edit)](std::string* file) { EditHeader(file, edit); }, expected};
}

Case Config(const char* name, const char* key, const json& value, const char* expected) {
  return Header(
      name, [=](json& h) { h["config"][key] = value; }, expected);
}

template <class T>
Case Value(const char* name, const char* tensor, const char* part, size_t index, T value,
           const char* expected) {
  return {name,
          [=](std::string* file) {
            const size_t at = OffsetOf(*file, tensor, part) + index * sizeof(T);
            std::memcpy(file->data() + at, &value, sizeof(value));
            ResealSections(file);
          },
          expected};
}

Case Byte(const char* name, std::function<size_t(const std::string&)> at, const char* expected) {
  return {name, [at = std::move(at)](std::string* file) { (*file)[at(*file)] ^= 0x10; }, expected};
}

class DamageTest : public testing::TestWithParam<Case> {};

TEST_P(DamageTest, IsOneClearLine) {
  std::string file = Healthy();
  GetParam().damage(&file);
  const std::string path = WriteTestFile(file);
  const StatusOr<std::unique_ptr<ModelFile>> opened = ModelFile::Open(path);
  unlink(path.c_str());
  ASSERT_FALSE(opened.ok());
  EXPECT_EQ(opened.status().code(), StatusCode::kDataLoss);
  const std::string& message = opened.status().message();
  EXPECT_TRUE(message.starts_with(path + ": " + GetParam().expected))
      << "expected: " << GetParam().expected << "\nfound:    " << message.substr(path.size() + 2);
  EXPECT_EQ(std::count_if(message.begin(), message.end(), [](char c) { return c < ' '; }), 0);
}

std::string NameOf(const testing::TestParamInfo<Case>& info) { return info.param.name; }

const std::vector<Case> kPrelude = {
    {"OneByte", [](std::string* f) { f->resize(1); },
     "not an INFQ file: it begins with \"I\", expected \"INFQ\""},
    {"OtherMagic", [](std::string* f) { f->replace(0, 4, "GGUF"); },
     "not an INFQ file: it begins with \"GGUF\", expected \"INFQ\""},
    {"OnlyMagic", [](std::string* f) { f->resize(4); },
     "prelude: the file has 4 bytes, expected at least 64"},
    {"OtherVersion", [](std::string* f) { (*f)[4] = 2; }, "prelude: format version 2, expected 1"},
    Byte(
        "PreludeBit", [](const std::string&) { return 17; }, "prelude: the sum is "),
    {"ReservedByte",
     [](std::string* f) {
       (*f)[40] = 1;
       Reseal(f);
     },
     "prelude: bytes 32 to 55 are not zero"},
    {"CutOff", [](std::string* f) { f->resize(f->size() - 1); }, "prelude: the file has "},
    {"TooLong", [](std::string* f) { *f += '\0'; }, "prelude: the file has "},
    {"HeaderBeyondTheFile",
     [](std::string* f) {
       const uint64_t bytes = f->size() - 63;
       std::memcpy(f->data() + 8, &bytes, sizeof(bytes));
       Reseal(f);
     },
     "prelude: a header of "},
    Byte(
        "HeaderBit", [](const std::string&) { return 100; }, "header: the sum is "),
};

INSTANTIATE_TEST_SUITE_P(Prelude, DamageTest, testing::ValuesIn(kPrelude), NameOf);

const std::vector<Case> kForm = {
    {"NotJson", [](std::string* f) { ReplaceHeader(f, "{\"kind\":"); },
     "header: is not valid JSON"},
    {"NotUtf8", [](std::string* f) { ReplaceHeader(f, "{\"kind\":\"\xff\"}"); },
     "header: is not valid JSON"},
    {"TwoTexts", [](std::string* f) { ReplaceHeader(f, HeaderOf(*f).dump() + "{}"); },
     "header: is not valid JSON"},
    {"Empty", [](std::string* f) { ReplaceHeader(f, ""); }, "header: is not valid JSON"},
    {"List", [](std::string* f) { ReplaceHeader(f, "[1,2]"); },
     "header: expected an object, found an array of 2"},
    {"TooDeep",
     [](std::string* f) { ReplaceHeader(f, std::string(900, '[') + std::string(900, ']')); },
     "header: the JSON nests 900 deep, expected at most 8"},
    Header(
        "NoKind", [](json& h) { h.erase("kind"); }, "header.kind: is missing"),
    Header(
        "Adapter", [](json& h) { h["kind"] = "adapter"; },
        "header.kind: expected \"model\", found \"adapter\""),
    Header(
        "OtherArchitecture", [](json& h) { h["architecture"] = "mamba\n\x01"; },
        "header.architecture: expected \"llama\" or \"decoder\", found \"mamba??\""),
    Header(
        "RecipeNumber", [](json& h) { h["recipe"] = 8; },
        "header.recipe: expected a string, found 8"),
    Header(
        "NoTool", [](json& h) { h.erase("tool"); }, "header.tool: is missing"),
    Header(
        "SourceOfNumbers", [](json& h) { h["source"] = {1}; },
        "header.source[0]: expected an object, found 1"),
    Header(
        "ConfigNull", [](json& h) { h["config"] = nullptr; },
        "header.config: expected an object, found null"),
    Header(
        "TensorsObject", [](json& h) { h["tensors"] = json::object(); },
        "header.tensors: expected an array, found an object"),
    Header(
        "TensorString", [](json& h) { h["tensors"][3] = std::string(1000, 'x'); },
        "header.tensors[3]: expected an object, found \"xxx"),
    Header(
        "TensorWithoutName", [](json& h) { h["tensors"][3].erase("name"); },
        "header.tensors[3].name: is missing"),
};

INSTANTIATE_TEST_SUITE_P(Form, DamageTest, testing::ValuesIn(kForm), NameOf);

const std::vector<Case> kConfig = {
    Config("HiddenZero", "hidden_size", 0,
           "header.config.hidden_size: expected an integer from 1 to 16777216, found 0"),
    Config("HiddenNegative", "hidden_size", -64,
           "header.config.hidden_size: expected an integer from 1 to 16777216, found -64"),
    Config(
        "HiddenHuge", "hidden_size", uint64_t{1} << 63,
        "header.config.hidden_size: expected an integer from 1 to 16777216, found 9223372036854"),
    Config("HiddenFraction", "hidden_size", 64.0,
           "header.config.hidden_size: expected an integer from 1 to 16777216, found 64.0"),
    Config("LayersHuge", "num_hidden_layers", 5000,
           "header.config.num_hidden_layers: expected an integer from 1 to 4096, found 5000"),
    Config("MoreLayersThanTensors", "num_hidden_layers", 3,
           "tensor \"model.layers.2.input_layernorm.weight\": is missing"),
    Config("FewerLayers", "num_hidden_layers", 1, "tensor \"model.layers.1."),
    Config("HeadsDoNotDivide", "num_key_value_heads", 3,
           "header.config.num_key_value_heads: expected a divisor of the 4 heads, found 3"),
    Config("OddHead", "head_dim", 15, "header.config.head_dim: expected an even number, found 15"),
    Config("HeadsHuge", "head_dim", 1 << 23,
           "header.config.head_dim: expected at most 16777216 in all the 4 heads, found 8388608"),
    Config("EpsZero", "rms_norm_eps", 0.0,
           "header.config.rms_norm_eps: expected a positive and finite number, found 0.0"),
    Config("EpsVanishesInFloat", "rms_norm_eps", 1e-60,
           "header.config.rms_norm_eps: expected a positive and finite number, found 1e-60"),
    Config("ThetaText", "rope_theta", "1e5",
           "header.config.rope_theta: expected a positive and finite number, found \"1e5\""),
    Config("ThetaOverflowsFloat", "rope_theta", 1e200,
           "header.config.rope_theta: expected a positive and finite number, found 1e+200"),
    Config("TieNumber", "tie_word_embeddings", 1,
           "header.config.tie_word_embeddings: expected true or false, found 1"),
    Config("UntiedWithoutHead", "tie_word_embeddings", false,
           "tensor \"lm_head.weight\": is missing"),
    Config("BosOutside", "bos_token_id", 96,
           "header.config.bos_token_id: expected an integer from 0 to 95, found 96"),
    Config("EosOutside", "eos_token_ids", {2, 1000},
           "header.config.eos_token_ids: expected an integer from 0 to 95, found 1000"),
    Config("EosNotAList", "eos_token_ids", 2,
           "header.config.eos_token_ids: expected an array, found 2"),
    Config("OtherVocabulary", "vocab_size", 97,
           "tensor \"model.embed_tokens.weight\": shape, expected [97, 64], found [96, 64]"),
};

INSTANTIATE_TEST_SUITE_P(Config, DamageTest, testing::ValuesIn(kConfig), NameOf);

const std::vector<Case> kTensors = {
    Header(
        "Unknown", [](json& h) { Tensor(h, kDown)["name"] = "model.layers.1.mlp.bias"; },
        "tensor \"model.layers.1.mlp.bias\": the architecture has no such tensor"),
    Header(
        "Twice", [](json& h) { h["tensors"].push_back(Tensor(h, kDown)); },
        "tensor \"model.layers.1.mlp.down_proj.weight\": is there twice"),
    Header(
        "Missing", [](json& h) { h["tensors"].erase(h["tensors"].size() - 1); },
        "tensor \"model.norm.weight\": is missing"),
    Header(
        "ShapeSwapped",
        [](json& h) {
          Tensor(h, kDown)["shape"] = {96, 64};
        },
        "tensor \"model.layers.1.mlp.down_proj.weight\": shape, expected [64, 96], found [96, 64]"),
    Header(
        "ShapeFlat", [](json& h) { Tensor(h, kDown)["shape"] = {64 * 96}; },
        "tensor \"model.layers.1.mlp.down_proj.weight\": shape, expected [64, 96], found [6144]"),
    Header(
        "ShapeOfThree",
        [](json& h) {
          Tensor(h, kDown)["shape"] = {1, 64, 96};
        },
        "tensor \"model.layers.1.mlp.down_proj.weight\".shape: expected an array of 1 or 2, found "
        "an array of 3"),
    Header(
        "ShapeZero",
        [](json& h) {
          Tensor(h, kDown)["shape"] = {0, 96};
        },
        "tensor \"model.layers.1.mlp.down_proj.weight\".shape: expected an integer from 1 to"),
    Header(
        "OtherDtype", [](json& h) { Tensor(h, kNorm)["dtype"] = "f16"; },
        "tensor \"model.norm.weight\": dtype, expected \"f32\", found \"f16\""),
    Header(
        "OtherLayout", [](json& h) { Tensor(h, kDown)["layout"] = "rows"; },
        "tensor \"model.layers.1.mlp.down_proj.weight\": layout, expected \"panel16x4\", found "
        "\"rows\""),
    Header(
        "QuantisedCalledFloat",
        [](json& h) {
          Tensor(h, kDown).update({{"dtype", "f32"}, {"layout", "rows"}});
        },
        "tensor \"model.layers.1.mlp.down_proj.weight\": length in bytes, expected 24576, found "
        "6144"),
    Header(
        "OtherGroup", [](json& h) { Tensor(h, kDown)["group"] = 96; },
        "tensor \"model.layers.1.mlp.down_proj.weight\": scale: length in bytes, expected 128, "
        "found 384"),
    Header(
        "GroupNoMultiple", [](json& h) { Tensor(h, kDown)["group"] = 48; },
        "tensor \"model.layers.1.mlp.down_proj.weight\".group: expected a multiple of 32, found "
        "48"),
    Header(
        "GroupTooLarge", [](json& h) { Tensor(h, kDown)["group"] = 2048; },
        "tensor \"model.layers.1.mlp.down_proj.weight\".group: expected an integer from 32 to "
        "1024, found 2048"),
    Header(
        "ThreeDigits", [](json& h) { Tensor(h, kDown)["activation_digits"] = 3; },
        "tensor \"model.layers.1.mlp.down_proj.weight\".activation_digits: expected an integer "
        "from 1 to 2, found 3"),
    Header(
        "NoScale", [](json& h) { Tensor(h, kDown).erase("scale"); },
        "tensor \"model.layers.1.mlp.down_proj.weight\".scale: is missing"),
    Header(
        "UpperCaseSum", [](json& h) { Tensor(h, kDown)["data"]["xxh3"] = "ABCDEF0123456789"; },
        "tensor \"model.layers.1.mlp.down_proj.weight\".data.xxh3: expected 16 lower-case "
        "hexadecimal digits, found \"ABCDEF0123456789\""),
    Header(
        "ShortSum", [](json& h) { Tensor(h, kDown)["data"]["xxh3"] = "ff"; },
        "tensor \"model.layers.1.mlp.down_proj.weight\".data.xxh3: expected 16 lower-case"),
};

INSTANTIATE_TEST_SUITE_P(Tensors, DamageTest, testing::ValuesIn(kTensors), NameOf);

const std::vector<Case> kPlaces = {
    Header(
        "Unaligned",
        [](json& h) { h["sections"][0]["offset"] = h["sections"][0]["offset"].get<int>() + 1; },
        "section \"tokenizer.json\": offset "),
    Header(
        "InTheHeader", [](json& h) { h["sections"][0]["offset"] = 64; },
        "section \"tokenizer.json\": 2 bytes at 64, expected to lie in bytes "),
    Header(
        "BeyondTheFile", [](json& h) { h["sections"][0]["offset"] = 1 << 30; },
        "section \"tokenizer.json\": 2 bytes at 1073741824, expected to lie in bytes "),
    Header(
        "OffsetThatOverflows", [](json& h) { Tensor(h, kDown)["data"]["offset"] = ~uint64_t{63}; },
        "tensor \"model.layers.1.mlp.down_proj.weight\".data.offset: expected an integer from 0 "
        "to 4611686018427387904, found 18446744073709551552"),
    Header(
        "LengthThatOverflows", [](json& h) { h["sections"][0]["bytes"] = uint64_t{1} << 62; },
        "section \"tokenizer.json\": 4611686018427387904 bytes at "),
    Header(
        "NegativeLength", [](json& h) { h["sections"][0]["bytes"] = -1; },
        "section \"tokenizer.json\".bytes: expected an integer from 0 to"),
    Header(
        "Overlap",
        [](json& h) { Tensor(h, kNorm)["data"]["offset"] = Tensor(h, kDown)["data"]["offset"]; },
        "tensor \"model.layers.1.mlp.down_proj.weight\": begins at "),
    {"GapNotZero",
     [](std::string* f) { (*f)[HeaderOf(*f)["sections"][0]["offset"].get<size_t>() + 10] = 1; },
     "byte "},
    {"BytesAfterTheLast",
     [](std::string* f) {
       f->append(64, '\0');
       Reseal(f);
     },
     "the last section ends at "},
    Header(
        "NoTokenizer", [](json& h) { h["sections"].erase(0); },
        "section \"tokenizer.json\": is missing"),
    Header(
        "EmptyTokenizer", [](json& h) { h["sections"][0]["bytes"] = 0; },
        "section \"tokenizer.json\": is empty"),
    Header(
        "UnknownSection", [](json& h) { h["sections"][1]["name"] = "vocab"; },
        "section \"vocab\": version 1 has no such section"),
    Header(
        "SectionTwice", [](json& h) { h["sections"].push_back(h["sections"][1]); },
        "section \"chat_template\": is there twice"),
};

INSTANTIATE_TEST_SUITE_P(Places, DamageTest, testing::ValuesIn(kPlaces), NameOf);

const std::vector<Case> kContents = {
    Byte(
        "SectionBit",
        [](const std::string& f) { return HeaderOf(f)["sections"][1]["offset"].get<size_t>(); },
        "section \"chat_template\": the sum is "),
    Byte(
        "WeightBit", [](const std::string& f) { return OffsetOf(f, kDown, "data") + 6143; },
        "tensor \"model.layers.1.mlp.down_proj.weight\": the sum is "),
    Byte(
        "ScaleBit", [](const std::string& f) { return OffsetOf(f, kDown, "scale"); },
        "tensor \"model.layers.1.mlp.down_proj.weight\": scale: the sum is "),
    Byte(
        "NormBit", [](const std::string& f) { return OffsetOf(f, kNorm, "data") + 8; },
        "tensor \"model.norm.weight\": the sum is "),
    Value<int8_t>("Minus128", kDown, "data", 6143, -128,
                  "tensor \"model.layers.1.mlp.down_proj.weight\": expected values from -127 to "
                  "127, found -128 at index 6143 in store"),
    Value<float>("NanWeight", kNorm, "data", 63, std::nanf(""),
                 "tensor \"model.norm.weight\": expected finite values, found nan at index 63"),
    Value<float>("InfiniteWeight", kNorm, "data", 0, -std::numeric_limits<float>::infinity(),
                 "tensor \"model.norm.weight\": expected finite values, found -inf at index 0"),
    Value<uint16_t>("NanScale", kDown, "scale", 3, 0x7fc0,
                    "tensor \"model.layers.1.mlp.down_proj.weight\": scale: expected finite scales "
                    "that are not negative, found nan at index 3"),
    Value<uint16_t>("InfiniteScale", kDown, "scale", 191, 0x7f80,
                    "tensor \"model.layers.1.mlp.down_proj.weight\": scale: expected finite scales "
                    "that are not negative, found inf at index 191"),
    Value<uint16_t>("NegativeScale", kDown, "scale", 0, 0xbf80,
                    "tensor \"model.layers.1.mlp.down_proj.weight\": scale: expected finite scales "
                    "that are not negative, found -1.0"),
};

INSTANTIATE_TEST_SUITE_P(Contents, DamageTest, testing::ValuesIn(kContents), NameOf);

}  // namespace
}  // namespace infeng
