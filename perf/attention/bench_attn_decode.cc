// What attention costs in a decode step: one row at the end of a context, in all layers.
//   bazel run //perf/attention:bench_attn_decode -- --force_path=avx2 --benchmark_filter=ctx:2048
// Store (rotate, quantise, write) is a part of it.

#include "perf/attention/bench_main.h"

int main(int argc, char** argv) { return infeng::AttentionBenchMain(argc, argv, "Decode", 1); }
