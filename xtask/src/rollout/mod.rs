//! Waiting until the applied workloads run, and saying why they do not.
