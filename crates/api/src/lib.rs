//! The HTTP side of the server: requests, approvals and reading, for people and programs. Never opens a session.
