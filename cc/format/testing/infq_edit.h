#ifndef INFENG_CC_FORMAT_TESTING_INFQ_EDIT_H_
#define INFENG_CC_FORMAT_TESTING_INFQ_EDIT_H_

#include <cstdint>
#include <functional>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

namespace infeng {

// Damage with good sums, so that the checks behind those of the sums are reached. Each takes the
// bytes of a file whose header can be read.

// By the prelude, whether or not the file has so many.
uint64_t HeaderBytes(const std::string& file);

nlohmann::json HeaderOf(const std::string& file);

// Writes another header over the old one, zeros after it as far as the old one reached, and seals
// the prelude. The room before the first section must suffice (InfqOptions::header_room).
void ReplaceHeader(std::string* file, std::string_view json);
void EditHeader(std::string* file, const std::function<void(nlohmann::json&)>& edit);

// Makes the prelude's length of the file, sum of the header and own sum fit the bytes.
void Reseal(std::string* file);

// Makes the sums of all sections and tensors fit the bytes; then the prelude's. Of a header that is
// damaged, those that it still tells, if the result has room in the file.
void ResealSections(std::string* file);

}  // namespace infeng

#endif  // INFENG_CC_FORMAT_TESTING_INFQ_EDIT_H_
