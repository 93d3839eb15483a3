// What attention costs in prefill: 128 rows at the end of a context, against all before them.
//   bazel run //perf/attention:bench_attn_prefill -- --force_path=avx2 --benchmark_filter=ctx:2048
// Store (rotate, quantise, write) is a part of it.

#include "perf/attention/bench_main.h"

int main(int argc, char** argv) { return infeng::AttentionBenchMain(argc, argv, "Prefill", 128); }
