import type { MeshError } from "../../../src/errors.ts";
import type { PeerTarget } from "../../../src/peering/peer.ts";
import type { LinkReceiver, LinkStream, LinkTransport } from "../../../src/peering/transport.ts";
import type { DeltaRequest } from "../../../src/xds/resource.ts";
import type { PeerProof } from "../../../src/xds/peer-gate.ts";
import { decodeDeltaResponse, encodeDeltaRequest } from "../../../src/xds/wire.ts";
import type { Net, Party } from "./net.ts";
import type { OpenStream, Plane } from "./plane.ts";

/** What answers at an address: a control plane, one that speaks before it knows anything, or nobody. */
export type Listener = Plane | "premature" | undefined;

/** Carries links of one process as gRPC does. */
export function linksOf(
  net: Net,
  from: Party,
  proof: PeerProof,
  at: (ip: string) => { readonly site: string; readonly listener: Listener },
): LinkTransport {
  return {
    open: (target, ip, receiver) => {
      const stream = new SimulatedStream(receiver, target);
      net.clock.after(1 + net.random.below(net.delayMs), () => {
        const { site, listener } = at(ip);
        // A way that is cut in one direction takes no handshake: the link has its own patience with that.
        if (net.answers(from.site, site)) from.run(() => stream.reach(net, from, proof, listener));
      });
      return stream;
    },
  };
}

class SimulatedStream implements LinkStream {
  readonly #receiver: LinkReceiver;
  readonly #target: PeerTarget;
  #open: OpenStream | undefined;
  readonly #early: DeltaRequest[] = [];
  #paused = false;
  readonly #held: Uint8Array[] = [];
  #done = false;

  constructor(receiver: LinkReceiver, target: PeerTarget) {
    this.#receiver = receiver;
    this.#target = target;
  }

  send(request: DeltaRequest): void {
    if (this.#done) return;
    if (this.#open === undefined) this.#early.push(request);
    else this.#open.write(encodeDeltaRequest(request));
  }
  pause(): void {
    this.#paused = true;
  }
  resume(): void {
    this.#paused = false;
    while (!this.#paused && this.#held.length > 0) this.#take(this.#held.shift()!);
  }
  close(): void {
    this.#done = true;
    this.#open?.close();
  }

  reach(net: Net, from: Party, proof: PeerProof, listener: Listener): void {
    if (this.#done) return;
    if (listener === undefined || (listener !== "premature" && !listener.serving))
      return this.#end({ reason: "ConnectionRefused", message: `nobody is at ${this.#target.cluster}` });
    if (listener === "premature") return this.#beTold(net, from);
    this.#open = listener.take(from, proof, {
      connected: () => this.#done || this.#receiver.connected(),
      received: (bytes) => this.#take(bytes),
      ended: (error) => this.#end(failureOf(error)),
    });
    for (const request of this.#early.splice(0)) this.send(request);
  }

  #take(bytes: Uint8Array): void {
    if (this.#done) return;
    if (this.#paused) this.#held.push(bytes);
    else this.#receiver.received(decodeDeltaResponse(bytes), bytes.length);
  }

  /** A peer that has only just started takes back what it ever said, and then breaks off (operations.md 3.4, fault 12). */
  #beTold(net: Net, from: Party): void {
    this.#receiver.connected();
    for (const { typeUrl, initialVersions } of this.#early.splice(0).filter(() => net.random.chance(0.6)))
      from.run(() => {
        const removed = [...initialVersions.keys()];
        if (!this.#done) this.#receiver.received({ typeUrl, nonce: "0", resources: [], removed }, 100);
      });
    net.clock.after(1 + net.random.below(20_000), () =>
      from.run(() => this.#end({ reason: "Disconnected", message: "it has broken off" })),
    );
  }

  #end(failure: Parameters<LinkReceiver["ended"]>[0]): void {
    if (this.#done) return;
    this.#done = true;
    this.#receiver.ended(failure);
  }
}

const failureOf = (error: MeshError | undefined): Parameters<LinkReceiver["ended"]>[0] =>
  error?.code === "denied"
    ? { reason: "PermissionDenied", message: error.message }
    : { reason: "Disconnected", message: error?.message ?? "the connection is gone" };
