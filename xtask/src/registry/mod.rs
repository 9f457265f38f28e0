//! Where images are pushed: an enum of providers, chosen in one function.
