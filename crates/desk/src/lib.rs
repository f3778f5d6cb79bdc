//! The use cases that gateway and API share: request, approve, open, revoke, kill.
