#include "tools/fuzz/mutate_json.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <iterator>
#include <nlohmann/json.hpp>
#include <random>
#include <utility>
#include <vector>

extern "C" size_t LLVMFuzzerMutate(uint8_t* data, size_t size, size_t max_size);

namespace infeng {
namespace {

using nlohmann::json;

constexpr int kDeepest = 64;

class Change {
 public:
  explicit Change(uint32_t seed) : random_(seed) {}

  // False if the document nests too deep.
  bool Apply(json* document) {
    if (!Collect(document, 0)) return false;
    json& node = *nodes_[Below(nodes_.size())];
    switch (Below(8)) {
      case 0:
        return Replace(&node, json(*nodes_[Below(nodes_.size())]));
      case 1:
        return Replace(&node, Junk());
      case 2:
        Drop(&node);
        return true;
      case 3:
        Double(&node);
        return true;
      case 4:
        return Replace(&node, Number());
      default:
        if (node.is_string()) return Replace(&node, Text(node.get<std::string>()));
        if (node.is_number_integer()) return Replace(&node, Near(node));
        if (node.is_object()) {
          Rename(&node);
          return true;
        }
        return Replace(&node, json(*nodes_[Below(nodes_.size())]));
    }
  }

 private:
  size_t Below(size_t n) { return random_() % n; }

  bool Collect(json* node, int depth) {
    if (depth > kDeepest) return false;
    nodes_.push_back(node);
    if (!node->is_structured()) return true;
    return std::all_of(node->begin(), node->end(),
                       [&](json& child) { return Collect(&child, depth + 1); });
  }

  static bool Replace(json* node, json value) {
    *node = std::move(value);
    return true;
  }

  json::iterator Child(json* node) {
    return std::next(node->begin(), static_cast<ptrdiff_t>(Below(node->size())));
  }

  void Drop(json* node) {
    if (node->is_structured() && !node->empty()) node->erase(Child(node));
  }

  void Double(json* node) {
    json copy = *nodes_[Below(nodes_.size())];
    if (node->is_array()) {
      if (!node->empty() && Below(2) == 0) copy = *Child(node);
      node->push_back(std::move(copy));
    } else if (node->is_object() && !node->empty()) {
      (*node)[Text(Child(node).key())] = std::move(copy);
    }
  }

  void Rename(json* node) {
    if (node->empty()) return;
    const json::iterator child = Child(node);
    const std::string name = Text(child.key());
    json value = std::move(*child);
    node->erase(child);
    (*node)[name] = std::move(value);
  }

  json Near(const json& node) {
    if (node.is_number_unsigned()) return node.get<uint64_t>() + Below(5) - 2;
    return node.get<int64_t>() / 2;
  }

  json Number() {
    switch (Below(4)) {
      case 0:
        return uint64_t{1} << Below(64);
      case 1:
        return (uint64_t{1} << Below(64)) - 1;
      case 2:
        return -static_cast<int64_t>(Below(300));
      default:
        return std::ldexp(1.5, static_cast<int>(Below(2000)) - 1000);
    }
  }

  json Junk() {
    switch (Below(6)) {
      case 0:
        return nullptr;
      case 1:
        return Below(2) == 0;
      case 2:
        return "";
      case 3:
        return json::array();
      case 4:
        return json::object();
      default:
        return Text("a");
    }
  }

  std::string Text(std::string text) {
    const size_t size = text.size();
    text.resize(size + 64);
    text.resize(LLVMFuzzerMutate(reinterpret_cast<uint8_t*>(text.data()), size, text.size()));
    return text;
  }

  std::mt19937 random_;
  std::vector<json*> nodes_;
};

}  // namespace

std::string MutateJson(std::string_view text, uint32_t seed) {
  json document = json::parse(text, nullptr, false);
  if (document.is_discarded() || !Change(seed).Apply(&document)) return "";
  // What libFuzzer did to a string need not be UTF-8.
  return document.dump(-1, ' ', false, json::error_handler_t::replace);
}

}  // namespace infeng
