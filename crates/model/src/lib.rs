//! The chain as types, the entry envelope, canonical JSON, the grammar and the verdict. Pure.
