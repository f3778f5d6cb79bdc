//! The gateway's frame file: traffic is written here before it is forwarded. Threads, no SQL.
