"""The client: namespaces over one connection that comes back by itself."""
