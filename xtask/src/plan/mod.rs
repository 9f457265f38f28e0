//! What an apply would change, as a value.
