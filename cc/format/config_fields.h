#ifndef INFENG_CC_FORMAT_CONFIG_FIELDS_H_
#define INFENG_CC_FORMAT_CONFIG_FIELDS_H_

#include "cc/base/status.h"
#include "cc/format/config.h"
#include "cc/format/json_fields.h"

namespace infeng {

// The `config` of a header, checked as ModelConfig promises; `features`: with the keys of
// architecture "decoder" after those of "llama".
StatusOr<ModelConfig> ReadConfig(const JsonFields& fields, bool features);

}  // namespace infeng

#endif  // INFENG_CC_FORMAT_CONFIG_FIELDS_H_
