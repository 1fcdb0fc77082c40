"""Floor 4, the server: namespaces, sockets, rooms, broadcasts."""
