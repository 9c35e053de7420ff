//! Tests against a local HTTP server.
