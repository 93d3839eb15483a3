#ifndef INFENG_PERF_ATTENTION_BENCH_MAIN_H_
#define INFENG_PERF_ATTENTION_BENCH_MAIN_H_

#include <cstddef>

namespace infeng {

// main of an attention benchmark: PREFIX_DTYPE/ctx:N/q:N/kv:N/dim:N/layers:N for f16, int8 and int4
// caches, with `rows` rows at the end of the context.
int AttentionBenchMain(int argc, char** argv, const char* prefix, size_t rows);

}  // namespace infeng

#endif  // INFENG_PERF_ATTENTION_BENCH_MAIN_H_
