//! Long columns in time, and many runs in bounded memory.
