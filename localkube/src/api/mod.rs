//! The API server: discovery, get, list, watch, create, update, patch, delete and subresources over HTTP.
