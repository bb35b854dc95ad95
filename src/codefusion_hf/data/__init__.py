"""Data: benchmarks, corpora, and synthetic pairs for conditional-formatting rules."""
