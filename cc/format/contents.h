#ifndef INFENG_CC_FORMAT_CONTENTS_H_
#define INFENG_CC_FORMAT_CONTENTS_H_

#include <string_view>

#include "cc/base/status.h"
#include "cc/format/header.h"

namespace infeng {

// Each reads its bytes once, checks their sum, then their values. `bytes` are those of the extent;
// for floats and scales they are aligned as such. Error: DataLoss that begins with extent.what.

Status CheckSum(std::string_view bytes, const Extent& extent);
Status CheckFloats(std::string_view bytes, const Extent& extent);  // float32: finite
Status CheckInt8(std::string_view bytes, const Extent& extent);    // int8: not -128
Status CheckScales(std::string_view bytes, const Extent& extent);  // bfloat16: finite, sign clear
Status CheckHalves(std::string_view bytes, const Extent& extent);  // binary16: finite

}  // namespace infeng

#endif  // INFENG_CC_FORMAT_CONTENTS_H_
