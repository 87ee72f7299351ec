import { constants, type ServerHttp2Session } from "node:http2";
import type { DetailedPeerCertificate, TLSSocket } from "node:tls";
import type { Clock } from "../host.ts";
import type { ServerLimits } from "./limits.ts";

/** One HTTP/2 connection: whether it lives, whether it behaves, and whose certificate it showed. */
export class Connection {
  /** With the port, for logs. */
  readonly remoteAddress: string;
  /** Without it. */
  readonly address: string;
  readonly #session: ServerHttp2Session;
  readonly #clock: Clock;
  readonly #limits: ServerLimits;
  #deadline: Disposable;
  #streams = 0;
  #resets = 0;
  #resetsSinceMs = 0;
  #chain: readonly Uint8Array[] | undefined;
  /** Why it was cut off, if it was. */
  cutOff: string | undefined;

  constructor(session: ServerHttp2Session, clock: Clock, limits: ServerLimits) {
    this.#session = session;
    this.#clock = clock;
    this.#limits = limits;
    const { remoteAddress, remotePort } = session.socket;
    this.address = remoteAddress ?? "unknown";
    this.remoteAddress = `${this.address}:${remotePort ?? 0}`;
    this.#deadline = clock.after(limits.firstRequestMs, () => this.cut("no request in time"));
    session.once("close", () => this.#deadline[Symbol.dispose]());
  }

  /** Counts a stream that was opened. */
  opened(): void {
    this.#streams += 1;
    if (this.#streams > 1) return;
    this.#deadline[Symbol.dispose]();
    this.#deadline = this.#clock.after(this.#limits.pingMs, () => this.#ping());
  }

  /** Counts a stream that the client has cancelled. */
  reset(): void {
    const now = this.#clock.elapsedMs();
    if (now - this.#resetsSinceMs > 1000) {
      this.#resetsSinceMs = now;
      this.#resets = 0;
    }
    this.#resets += 1;
    if (this.#resets > this.#limits.resetsPerSecondMax) this.cut("too many streams cancelled");
  }

  cut(why: string): void {
    if (this.#session.destroyed) return;
    this.cutOff = why;
    this.#session.goaway(constants.NGHTTP2_ENHANCE_YOUR_CALM);
    // Not with the code: that would cut the socket before it is sent.
    this.#session.destroy();
  }

  /**
   * The client's certificate and those it sent with it, in DER; empty unless our roots verify them.
   * `onUnverified` hears of one that they do not.
   */
  certificateChain(onUnverified: (reason: string) => void): readonly Uint8Array[] {
    return (this.#chain ??= this.#readChain(onUnverified));
  }

  #readChain(onUnverified: (reason: string) => void): readonly Uint8Array[] {
    if (this.#session.encrypted !== true) return [];
    const socket = this.#session.socket as TLSSocket;
    const leaf = socket.getPeerCertificate(true);
    // Without a certificate, `authorized` is false too: look for one first.
    if ((leaf as Partial<typeof leaf>).raw === undefined) return [];
    if (!socket.authorized) {
      onUnverified(String(socket.authorizationError));
      return [];
    }
    const chain: Uint8Array[] = [];
    // A root is its own issuer.
    for (let at: DetailedPeerCertificate | undefined = leaf; at !== undefined && !chain.includes(at.raw);) {
      chain.push(at.raw);
      at = at.issuerCertificate as DetailedPeerCertificate | undefined;
    }
    return chain;
  }

  #ping(): void {
    const session = this.#session;
    if (session.destroyed) return;
    this.#deadline = this.#clock.after(this.#limits.pongMs, () => this.cut("a ping was not answered"));
    session.ping(() => {
      this.#deadline[Symbol.dispose]();
      if (!session.destroyed) this.#deadline = this.#clock.after(this.#limits.pingMs, () => this.#ping());
    });
  }
}
