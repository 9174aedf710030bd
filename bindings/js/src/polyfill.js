// What js-libp2p asks for, and Node.js has from 22 on.
Promise.withResolvers ??= function withResolvers() {
  const parts = {};
  parts.promise = new this((resolve, reject) => Object.assign(parts, { resolve, reject }));
  return parts;
};
globalThis.WebSocket ??= (await import("ws")).WebSocket;
