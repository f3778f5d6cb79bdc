//! The owner's side of the log: a witness that cosigns only what extends what it has seen.
