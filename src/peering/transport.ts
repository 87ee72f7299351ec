import type { PeerReason } from "../registry/model/peer.ts";
import type { DeltaUpdate } from "../xds/delta-client.ts";
import type { DeltaRequest } from "../xds/resource.ts";
import type { PeerTarget } from "./peer.ts";

/** Why there is no stream. */
export interface LinkFailure {
  readonly reason: PeerReason;
  /** A sentence for the person who can mend it: the address, what was expected there, and what was found. */
  readonly message: string;
}

/** Carries links: over gRPC in `dial.ts`, over nothing in tests. */
export interface LinkTransport {
  /** Dials `ip`. Nothing is reported before it returns, and never by throwing. */
  open(target: PeerTarget, ip: string, receiver: LinkReceiver): LinkStream;
}

/** What a stream reports, in this order; nothing after `ended`, and nothing after `LinkStream.close`. */
export interface LinkReceiver {
  /** The peer has proven who it is, and took the call. */
  connected(): void;
  /** @param bytes how many came over the wire. */
  received(update: DeltaUpdate, bytes: number): void;
  ended(failure: LinkFailure): void;
}

export interface LinkStream {
  /** What is sent before the peer has answered waits for it. */
  send(request: DeltaRequest): void;
  /** Has the peer wait before it sends more; a few messages may still come. */
  pause(): void;
  resume(): void;
  /** Idempotent. */
  close(): void;
}
