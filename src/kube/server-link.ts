import type { Clock } from "../host.ts";
import { guardedLookup } from "../address-kind.ts";
import type { ClusterConnection } from "./connection.ts";
import { handshake, tlsOptions } from "./handshake.ts";
import { Http1Wire } from "./http1-wire.ts";
import { Http2Wire } from "./http2-wire.ts";
import type { KubeLimits } from "./limits.ts";
import type { Proof } from "./proof.ts";
import type { Wire } from "./wire.ts";

/** The way to one server: there is one connection, made when it is needed and made again when it is gone. ⇄ */
export class ServerLink {
  readonly #clock: Clock;
  readonly #connection: ClusterConnection;
  readonly #limits: KubeLimits;
  readonly #origin: URL;
  readonly #onConnected: (protocol: string) => void;
  /** Those that were retired end when their last answer has. */
  readonly #wires = new Set<Wire>();
  #current: { readonly wire: Wire; readonly certificate: string | undefined } | undefined;
  #dialing: { readonly wire: Promise<Wire>; readonly certificate: string | undefined } | undefined;
  readonly #closing = new AbortController();

  constructor(
    clock: Clock,
    connection: ClusterConnection,
    limits: KubeLimits,
    onConnected: (protocol: string) => void,
  ) {
    this.#clock = clock;
    this.#connection = connection;
    this.#limits = limits;
    this.#origin = new URL(connection.server);
    this.#onConnected = onConnected;
  }

  /** @returns a connection that shows this certificate, and whether it was used before. @throws what it ended with. */
  async wire({ certificate }: Proof): Promise<{ readonly wire: Wire; readonly used: boolean }> {
    const shown = certificate?.certificate;
    if (this.#current?.wire.usable === true && this.#current.certificate === shown)
      return { wire: this.#current.wire, used: true };
    if (this.#dialing === undefined || this.#dialing.certificate !== shown) {
      const dialing = { wire: this.#dial({ headers: {}, ...(certificate && { certificate }) }), certificate: shown };
      this.#dialing = dialing;
      const done = (): void => void (this.#dialing === dialing && (this.#dialing = undefined));
      dialing.wire.then(done, done);
    }
    return { wire: await this.#dialing.wire, used: false };
  }

  async close(error: Error): Promise<void> {
    this.#closing.abort(error);
    await this.#dialing?.wire.catch(() => undefined);
    await Promise.all([...this.#wires].map((wire) => wire.close(error)));
  }

  async #dial(proof: Proof): Promise<Wire> {
    const wire = await this.#newWire(proof);
    if (this.#closing.signal.aborted) {
      await wire.close(this.#closing.signal.reason as Error);
      throw this.#closing.signal.reason;
    }
    this.#current?.wire.retire();
    this.#current = { wire, certificate: proof.certificate?.certificate };
    for (const old of this.#wires) if (old.gone) this.#wires.delete(old);
    this.#wires.add(wire);
    this.#onConnected(wire.protocol);
    return wire;
  }

  async #newWire(proof: Proof): Promise<Wire> {
    const { refusedAddresses } = this.#connection;
    const lookup = refusedAddresses.length > 0 ? { lookup: guardedLookup(refusedAddresses) } : {};
    if (this.#origin.protocol === "http:") return new Http1Wire(this.#origin, lookup, this.#limits);
    const options = { ...lookup, ...(await tlsOptions(this.#connection, this.#origin, proof)) };
    const socket = await handshake(this.#clock, this.#origin, options, this.#limits.connectMs, this.#closing.signal);
    if (socket.alpnProtocol === "h2") return new Http2Wire(this.#clock, this.#origin.origin, socket, this.#limits);
    socket.destroy();
    return new Http1Wire(this.#origin, options, this.#limits);
  }
}
