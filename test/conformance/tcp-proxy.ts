import { connect, createServer, type AddressInfo, type Server, type Socket } from "node:net";
import { Transform } from "node:stream";

type Mode = "pass" | "cut" | "swallow";

/** A wire to a port of this machine that can be cut, or that can swallow what is sent without a word. */
export class TcpProxy {
  readonly #target: () => number;
  readonly #server: Server;
  readonly #wires = new Set<readonly [client: Socket, server: Socket]>();
  /** Swallowed ones too, of which one end may have gone. */
  readonly #sockets = new Set<Socket>();
  #mode: Mode = "pass";
  /** Connections that were asked for so far. */
  accepted = 0;
  /** How long each piece takes, in either direction, in milliseconds. */
  lagMs = 0;

  private constructor(target: () => number) {
    this.#target = target;
    this.#server = createServer((client) => this.#accept(client));
  }

  /** @param target a port, or what it is by then. */
  static async start(target: number | (() => number)): Promise<TcpProxy> {
    const proxy = new TcpProxy(typeof target === "number" ? () => target : target);
    await new Promise<void>((resolve) => proxy.#server.listen(0, "127.0.0.1", resolve));
    return proxy;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }
  get open(): number {
    return this.#wires.size;
  }

  /** Ends every connection, and refuses new ones until `heal`. */
  cut(): void {
    this.#mode = "cut";
    for (const socket of this.#sockets) socket.destroy();
  }

  /** From now on nothing passes, and nobody is told: no FIN, no RST. New connections are taken, and hear nothing. */
  swallow(): void {
    this.#mode = "swallow";
    for (const wire of this.#wires) for (const socket of wire) silence(socket);
  }

  /** New connections pass again; those that were swallowed stay dead, as after a firewall has forgotten them. */
  heal(): void {
    this.#mode = "pass";
  }

  async close(): Promise<void> {
    this.cut();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  #accept(client: Socket): void {
    this.accepted += 1;
    if (this.#mode === "cut") return void client.destroy();
    const server = connect(this.#target(), "127.0.0.1");
    const wire = [client, server] as const;
    this.#wires.add(wire);
    for (const socket of wire) {
      this.#sockets.add(socket);
      socket.on("error", () => {});
      socket.on("close", () => {
        this.#sockets.delete(socket);
        this.#wires.delete(wire);
        // A peer that was swallowed must not learn of the other's end.
        if (this.#mode !== "swallow" && !silenced.has(socket)) for (const other of wire) other.destroy();
      });
    }
    client.pipe(this.#lag()).pipe(server);
    server.pipe(this.#lag()).pipe(client);
    if (this.#mode === "swallow") for (const socket of wire) silence(socket);
  }

  #lag(): Transform {
    const transform = (piece: Buffer, _: string, done: (error: null, piece: Buffer) => void): void => {
      if (this.lagMs === 0) done(null, piece);
      else setTimeout(done, this.lagMs, null, piece);
    };
    return new Transform({ transform });
  }
}

const silenced = new WeakSet<Socket>();

function silence(socket: Socket): void {
  silenced.add(socket);
  socket.unpipe();
  // Read on and throw away: a full window would tell the sender that something is wrong.
  socket.on("data", () => {});
}
