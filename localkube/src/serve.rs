//! One process: the API server, the controllers, the kubelet, the proxy and the registry.
