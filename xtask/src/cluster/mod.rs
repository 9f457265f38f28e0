//! Where the Kubernetes API is: an enum of providers, chosen in one function.
