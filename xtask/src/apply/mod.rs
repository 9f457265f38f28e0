//! Staged server-side apply.
