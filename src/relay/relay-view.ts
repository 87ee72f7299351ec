import type { EpochMs } from "../host.ts";

/** What a cluster's half of the relay knows: the page relayz, which `causeway check trust` reads. No secret is in it. */
export interface RelayView {
  readonly cluster: string;
  readonly trustDomain: string;
  readonly now: EpochMs;
  /** `host:port` of the trust manager; empty while off. */
  readonly manager: string;
  /** `never`: it was never reached; `off`: this control plane has no trust manager. */
  readonly state: "connected" | "away" | "never" | "off";
  /** When the state began; absent while off. */
  readonly since?: EpochMs;
  /** When the manager last said anything; absent if it never did. */
  readonly lastHeard?: EpochMs;
  /** Why there is no link; empty while connected or off. */
  readonly reason: string;
  /** Of the last order that is carried out in whole; empty if none is. */
  readonly generation: string;
  /** Of the last order that came; absent if none did since we run. */
  readonly ordered?: string;
  /** When our client certificate for the manager ends; absent if there is none. */
  readonly clientNotAfter?: EpochMs;
  /** When another certificate is asked for in the place of the one that is kept; absent if that is not known. */
  readonly renewsAt?: EpochMs;
  readonly waits: readonly string[];
  readonly problems: readonly string[];
  readonly restarts: readonly string[];
  /** Where what signs is kept; absent if nothing is kept, as with SPIRE. */
  readonly kept?: KeptAuthority;
  /** What signs now; absent if nothing does. With a manager or without. */
  readonly authority?: AuthorityInUse;
}

export interface KeptAuthority {
  /** As `Secret istio-system/cacerts`, or a folder. */
  readonly title: string;
  /** `ours` has our label; `foreign` has not, and is never overwritten; `unread` cannot be read. */
  readonly owner: "ours" | "foreign" | "absent" | "unread";
}

/** In base64 of DER. */
export interface AuthorityInUse {
  /** The certificate that signs, and what is between it and the root. */
  readonly chain: readonly string[];
  /** What workloads are told to trust. */
  readonly roots: readonly string[];
}
