//! The point of enforcement: ends the client's connection, asks the desk, dials the target, relays what is journaled.
