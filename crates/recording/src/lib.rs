//! Frames, extents and their chain: the form of recorded traffic. Pure.
