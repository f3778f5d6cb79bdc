//! Signs heads, serves tiles and checkpoints, gathers cosignatures, and makes `Cleared`.
