//! Evidence packs: build, verify, explain, and the admission check. Pure: no clock, no I/O, no randomness.
