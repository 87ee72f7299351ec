import type { Socket } from "node:net";
import type { Clock } from "../host.ts";
import type { ServerLimits } from "./limits.ts";
import { Quota } from "./quota.ts";

/** Both ends of a connection: the same for a TCP socket and for the TLS socket over it. */
export type EndPoints = Pick<Socket, "remoteAddress" | "remotePort" | "localAddress">;

const keyOf = ({ remoteAddress, remotePort, localAddress }: EndPoints): string =>
  `${remoteAddress} ${remotePort} ${localAddress}`;

/** A Unix domain socket has no addresses, and no TLS over it: it is its own key. */
const keyOfSocket = (socket: Socket): string | Socket => (socket.remotePort === undefined ? socket : keyOf(socket));

interface OpenSocket {
  readonly socket: Socket;
  /** Undefined once the handshake is done. */
  handshake: Disposable | undefined;
}

/** Every TCP connection of a port, from the moment it is accepted: Node tells of most only after the TLS handshake. */
export class Sockets {
  readonly #clock: Clock;
  readonly #handshakeMs: number | undefined;
  readonly #quota: Quota;
  readonly #open = new Map<string | Socket, OpenSocket>();

  /** Without `tls`, a connection is established when it is accepted. */
  constructor(clock: Clock, limits: ServerLimits, { tls }: { readonly tls: boolean }) {
    this.#clock = clock;
    this.#handshakeMs = tls ? limits.handshakeMs : undefined;
    this.#quota = new Quota({ total: limits.connectionsMax, perAddress: limits.connectionsPerAddressMax });
  }

  get count(): number {
    return this.#quota.taken;
  }

  /**
   * `late` hears of a handshake that was not done in time, whose socket is cut then.
   * @returns false if too many are open.
   */
  admit(socket: Socket, on: { readonly late: () => void; readonly closed: () => void }): boolean {
    const place = this.#quota.take(socket.remoteAddress ?? "unknown");
    if (place === undefined) return false;
    const key = keyOfSocket(socket);
    const entry: OpenSocket = { socket, handshake: this.#expectHandshake(socket, on.late) };
    this.#open.set(key, entry);
    socket.once("close", () => {
      this.#open.delete(key);
      entry.handshake?.[Symbol.dispose]();
      place[Symbol.dispose]();
      on.closed();
    });
    return true;
  }

  /** Says that the handshake is done. */
  established(ends: EndPoints): void {
    const entry = this.#open.get(keyOf(ends));
    entry?.handshake?.[Symbol.dispose]();
    if (entry !== undefined) entry.handshake = undefined;
  }

  destroyAll(): void {
    for (const { socket } of this.#open.values()) socket.destroy();
  }

  /** Those that are in their handshake. */
  destroyUnestablished(): void {
    for (const { socket, handshake } of this.#open.values()) if (handshake !== undefined) socket.destroy();
  }

  #expectHandshake(socket: Socket, onLate: () => void): Disposable | undefined {
    if (this.#handshakeMs === undefined) return undefined;
    // Node's own limit counts from the last byte, and leaves the socket open.
    return this.#clock.after(this.#handshakeMs, () => {
      onLate();
      socket.destroy();
    });
  }
}
