#ifndef INFENG_CC_FORMAT_CONFIG_FIELDS_H_
#define INFENG_CC_FORMAT_CONFIG_FIELDS_H_

#include "cc/base/status.h"
#include "cc/format/config.h"
#include "cc/format/json_fields.h"

namespace infeng {

// The `config` of a header, checked as ModelConfig promises.
StatusOr<ModelConfig> ReadConfig(const JsonFields& fields);

}  // namespace infeng

#endif  // INFENG_CC_FORMAT_CONFIG_FIELDS_H_
