// Thousands of random mutations of a small file: none crashes, none is accepted with bytes that
// differ, and what is accepted after an edit with good sums is a model that can be read whole.

#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <random>
#include <string>
#include <vector>

#include "cc/format/checksum.h"
#include "cc/format/model_file.h"
#include "cc/format/testing/infq_builder.h"
#include "cc/format/testing/infq_edit.h"
#include "cc/format/testing/whole_use.h"
#include "gtest/gtest.h"

namespace infeng {
namespace {

using nlohmann::json;

std::string SmallFile(const std::string& recipe) {
  InfqOptions options;
  options.int8 = recipe != "f32";
  options.int4 = recipe == "int4";
  options.config.hidden_size = 20;
  options.config.intermediate_size = 24;
  options.config.num_hidden_layers = 1;
  options.config.head_dim = 6;
  options.config.vocab_size = 11;
  options.header_room = 1024;
  options.chat_template = "{{ messages }}";
  return BuildInfq(options);
}

class Mutator {
 public:
  explicit Mutator(uint32_t seed) : random_(seed) {}

  uint64_t Below(uint64_t n) { return random_() % n; }
  uint64_t Below(size_t least, size_t n) { return least + Below(n - least); }

  // Damages bytes from `begin` to `end` (at least one) and returns how, for messages.
  std::string Bytes(std::string* file, size_t begin, size_t end) {
    const size_t at = Below(begin, end);
    const size_t length = 1 + Below(std::min<size_t>(end - at, 40));
    switch (Below(5)) {
      case 0:
        (*file)[at] = static_cast<char>((*file)[at] ^ (1 << Below(8)));
        return "bit flip at " + std::to_string(at);
      case 1:
        for (size_t i = 0; i < length; ++i) (*file)[at + i] = static_cast<char>(random_());
        return "noise at " + std::to_string(at);
      case 2:
        std::fill_n(file->begin() + static_cast<ptrdiff_t>(at), length,
                    static_cast<char>(Below(2) == 0 ? 0 : 0xff));
        return "run at " + std::to_string(at);
      case 3: {  // bytes of one place at another
        const size_t from = Below(begin, end - length + 1);
        file->replace(at, length, std::string(*file, from, length));
        return "copy from " + std::to_string(from) + " to " + std::to_string(at);
      }
      default: {  // a number of eight bytes
        const size_t place = begin + (at - begin) / 8 * 8;
        const uint64_t value = Number();
        std::memcpy(file->data() + place, &value, std::min<size_t>(8, end - place));
        return "number at " + std::to_string(place);
      }
    }
  }

  std::string Length(std::string* file) {
    if (Below(3) == 0) {
      file->append(1 + Below(200), static_cast<char>(Below(2)));
      return "longer";
    }
    file->resize(Below(2) == 0 ? Below(200) : Below(file->size()));
    return "cut to " + std::to_string(file->size());
  }

  // Puts something else in place of a random value of the header, or drops or doubles it.
  std::string Header(json* header) {
    json* parent = header;
    std::string path;
    while (true) {
      const size_t chosen = Below(parent->size());
      auto child = parent->begin();
      std::advance(child, static_cast<ptrdiff_t>(chosen));
      path += "/" + (parent->is_object() ? child.key() : std::to_string(chosen));
      if (child->is_structured() && !child->empty() && Below(8) != 0) {
        parent = &*child;
        continue;
      }
      switch (Below(6)) {
        case 0:
          parent->erase(child);
          return "drop " + path;
        case 1:
          if (parent->is_array()) parent->push_back(json(*child));
          return "double " + path;
        case 2:
          *child = child->is_number_unsigned() ? json(child->get<uint64_t>() ^ (1U << Below(12)))
                                               : json(Number());
          return "number " + path;
        default:
          *child = Junk();
          return "junk " + path;
      }
    }
  }

 private:
  uint64_t Number() {
    constexpr uint64_t kNumbers[] = {0,
                                     1,
                                     2,
                                     63,
                                     64,
                                     65,
                                     127,
                                     4096,
                                     1U << 24,
                                     (1U << 24) + 1,
                                     uint64_t{1} << 31,
                                     uint64_t{1} << 32,
                                     uint64_t{1} << 62,
                                     uint64_t{1} << 63,
                                     ~uint64_t{0},
                                     ~uint64_t{63}};
    return Below(4) == 0 ? random_() : kNumbers[Below(std::size(kNumbers))];
  }

  json Junk() {
    switch (Below(8)) {
      case 0:
        return nullptr;
      case 1:
        return Below(2) == 0;
      case 2:
        return -static_cast<int64_t>(Below(1000));
      case 3:
        return std::ldexp(1.5, static_cast<int>(Below(2000)) - 1000);
      case 4:
        return std::string(Below(300), static_cast<char>(' ' + Below(90)));
      case 5:
        return json::array({Number(), Number()});
      case 6:
        return json::object();
      default:
        return Number();
    }
  }

  std::mt19937_64 random_;
};

// Opens the bytes; if they are accepted, reads all that the model gives.
bool Accepted(const std::string& bytes, const std::string& how) {
  const std::string path = WriteTestFile(bytes);
  const StatusOr<std::unique_ptr<ModelFile>> opened = ModelFile::Open(path);
  unlink(path.c_str());
  EXPECT_EQ(FaultOf(opened, path), "") << how;
  return opened.ok();
}

class MutationTest : public testing::TestWithParam<const char*> {
 protected:
  const std::string healthy_ = SmallFile(GetParam());
  const size_t header_end_ = 64 + HeaderOf(healthy_).dump().size();
};

TEST_P(MutationTest, TheHealthyFileIsAccepted) { EXPECT_TRUE(Accepted(healthy_, "healthy")); }

TEST_P(MutationTest, AnyChangeIsNoticed) {
  Mutator mutate(1);
  for (int i = 0; i < 3000; ++i) {
    std::string file = healthy_;
    // The header is small among the data; it gets its share of the damage.
    const size_t end = i % 3 == 0 ? 64 : i % 3 == 1 ? header_end_ : file.size();
    std::string how = i % 16 == 0 ? mutate.Length(&file) : mutate.Bytes(&file, 0, end);
    ASSERT_EQ(Accepted(file, how), file == healthy_) << how;
  }
}

// What the prelude's sums hide: the lengths, the version.
TEST_P(MutationTest, PreludeWithAGoodSum) {
  Mutator mutate(2);
  for (int i = 0; i < 500; ++i) {
    std::string file = healthy_;
    const std::string how = mutate.Bytes(&file, 0, 56);
    const uint64_t sum = Xxh3(std::string_view(file).substr(0, 56));
    std::memcpy(file.data() + 56, &sum, sizeof(sum));
    ASSERT_EQ(Accepted(file, how), file == healthy_) << how;
  }
}

TEST_P(MutationTest, HeaderTextWithAGoodSum) {
  Mutator mutate(3);
  const std::string text = HeaderOf(healthy_).dump();
  for (int i = 0; i < 1500; ++i) {
    std::string file = healthy_;
    std::string changed = text;
    std::string how = mutate.Bytes(&changed, 0, changed.size());
    if (mutate.Below(4) == 0) changed.resize(mutate.Below(changed.size()));
    ReplaceHeader(&file, changed);
    Accepted(file, how);
  }
}

TEST_P(MutationTest, HeaderValuesWithAGoodSum) {
  Mutator mutate(4);
  int accepted = 0;
  for (int i = 0; i < 2500; ++i) {
    std::string file = healthy_;
    json header = HeaderOf(file);
    const std::string how = mutate.Header(&header);
    std::string text = header.dump();
    if (text.size() > header_end_ - 64 + 1024) continue;  // no room for it in the file
    ReplaceHeader(&file, text);
    accepted += Accepted(file, how) ? 1 : 0;
  }
  // Some edits do no harm ("tool", "rope_theta"), but most do.
  EXPECT_GT(accepted, 0);
  EXPECT_LT(accepted, 500);
}

TEST_P(MutationTest, WeightsWithGoodSums) {
  Mutator mutate(5);
  int accepted = 0;
  for (int i = 0; i < 1000; ++i) {
    std::string file = healthy_;
    const std::string how = mutate.Bytes(&file, header_end_ + 1024, file.size());
    ResealSections(&file);
    accepted += Accepted(file, how) ? 1 : 0;
  }
  // A weight may be any finite number.
  EXPECT_GT(accepted, 100);
  EXPECT_LT(accepted, 1000);
}

INSTANTIATE_TEST_SUITE_P(Recipes, MutationTest, testing::Values("int8", "int4", "f32"),
                         [](const auto& info) { return info.param; });

}  // namespace
}  // namespace infeng
