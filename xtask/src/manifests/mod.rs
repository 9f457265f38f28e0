//! A Kustomize tree becomes a list of objects, without touching anything.
