// The handlers of the servers in JavaScript. What comes is sent back as it came: nothing is validated.
export function listen(io, withRooms) {
  io.on("connection", (socket) => {
    socket.on("echo", (payload) => socket.emit("echo", payload));
    socket.on("typed", (order) => socket.emit("typed", order));
    socket.on("bcast", (text) => io.emit("bcast", text));
    if (!withRooms) return;
    socket.on("join", (prefix, count) => {
      socket.join(Array.from({ length: count }, (_, number) => `${prefix}${number}`));
      socket.emit("joined", prefix, count);
    });
    socket.on("leave", (prefix, count) => {
      for (let number = 0; number < count; number++) socket.leave(`${prefix}${number}`);
      socket.emit("left", prefix, count);
    });
    socket.on("shout", (room, text) => io.to(room).emit("shout", room, text));
  });
}
