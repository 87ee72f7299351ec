import type { Caller } from "../caller.ts";
import type { EpochMs } from "../host.ts";
import type { ServiceAccountId } from "../spiffe.ts";
import type { ClientNode, SubscriptionStatus } from "./resource.ts";

/** One stream, as syncz and connections show it. */
export interface ClientStatus {
  /** Unique in this process; its nonces begin with it. */
  readonly id: string;
  readonly remoteAddress: string;
  readonly connectedAt: EpochMs;
  /** Undefined on the plaintext port, where nobody proves anything. */
  readonly identity: ServiceAccountId | undefined;
  /** How it has proven that; undefined as `identity`. */
  readonly via: Caller["via"] | undefined;
  /** The cluster whose authority verified the client; empty on the plaintext port. */
  readonly cluster: string;
  /** Undefined until the first request. */
  readonly node: ClientNode | undefined;
  readonly subscriptions: readonly SubscriptionStatus[];
}
