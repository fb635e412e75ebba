"""How an iteration runs fast: a traced model becomes a C++ library or a CUDA kernel."""
