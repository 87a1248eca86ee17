"""The stage: what stands around BPTL in the demo, the tests and the benchmarks (servers, engines, processes)."""
