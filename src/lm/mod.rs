//! Language models: one file an architecture, one cache that forks, weights, tokenizer.
