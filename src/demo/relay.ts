import { connect, createServer, type Server, type Socket } from "node:net";
import { listenError } from "../grpc/listen-error.ts";

/** Its ports have no flag of their own. */
const RELAY = "the relay, whose ports move with --xds-port,";

/**
 * Stands for an east-west gateway. Its port 15012 passes bytes on to the control plane behind it and ends no TLS, so both
 * ends verify each other; a real gateway does the same by the server name of the handshake. Its port 15008, where traffic
 * would come in, takes connections and nothing else: there is no workload behind it.
 */
export class Relay {
  readonly #address: string;
  readonly #xds: Listener;
  readonly #door: Listener;

  /** @param target where the control plane listens now; undefined while it is stopped. */
  constructor(address: string, target: () => number | undefined) {
    this.#address = address;
    this.#door = new Listener(() => {});
    this.#xds = new Listener((client, keep) => {
      const port = target();
      if (port === undefined) client.destroy();
      else join(client, keep(connect({ host: address, port })));
    });
  }

  /** @returns the port that leads to the control plane. @throws MeshError `unavailable` if it is taken. */
  listen(port: number): Promise<number> {
    return this.#xds.listen(this.#address, port);
  }

  /** @returns the port for traffic, the same again after `closeDoor`. @throws MeshError `unavailable` if it is taken. */
  openDoor(port: number): Promise<number> {
    return this.#door.listen(this.#address, this.#door.port ?? port);
  }

  closeDoor(): Promise<void> {
    return this.#door.close();
  }

  async close(): Promise<void> {
    await this.#xds.close();
    await this.#door.close();
  }
}

/** Either end takes the other with it: what the peers must see is a connection that is gone. */
function join(client: Socket, plane: Socket): void {
  client.on("close", () => plane.destroy());
  plane.on("close", () => client.destroy());
  client.pipe(plane).pipe(client);
}

/** One port, and all connections by way of it. */
class Listener {
  readonly #accept: (client: Socket, keep: (socket: Socket) => Socket) => void;
  readonly #open = new Set<Socket>();
  #server: Server | undefined;
  /** Where it listens, or did before. */
  port: number | undefined;

  constructor(accept: (client: Socket, keep: (socket: Socket) => Socket) => void) {
    this.#accept = accept;
  }

  async listen(address: string, port: number): Promise<number> {
    const keep = (socket: Socket): Socket => this.#keep(socket);
    const server = createServer((client) => this.#accept(keep(client), keep));
    await new Promise<void>((resolve, reject) => {
      server.once("error", (error) => reject(listenError(RELAY, { address, port }, error)));
      server.listen({ host: address, port }, resolve);
    });
    this.#server = server;
    const bound = server.address();
    return (this.port = typeof bound === "object" && bound !== null ? bound.port : port);
  }

  async close(): Promise<void> {
    const server = this.#server;
    this.#server = undefined;
    for (const socket of this.#open) socket.destroy();
    if (server !== undefined) await new Promise<void>((resolve) => server.close(() => resolve()));
  }

  #keep(socket: Socket): Socket {
    this.#open.add(socket);
    socket.on("error", () => socket.destroy());
    socket.on("close", () => void this.#open.delete(socket));
    return socket;
  }
}
