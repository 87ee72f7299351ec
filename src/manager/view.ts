import type { EpochMs } from "../host.ts";
import type { Fingerprint } from "../relay/messages.ts";
import type { TrustState } from "./policy.ts";

/** What the trust manager knows, for `causeway trust status` and its debug page. No secret is in it. */
export interface TrustView {
  readonly version: string;
  readonly now: EpochMs;
  readonly policy:
    | {
        readonly title: string;
        readonly state: TrustState;
        readonly messages: readonly string[];
        readonly source: string;
      }
    | undefined;
  readonly roots: readonly RootView[];
  readonly rotation: RotationView;
  readonly clusters: readonly ManagedClusterView[];
  /** Who called and was refused lately, and why. */
  readonly refused: readonly {
    readonly cluster: string;
    readonly from: string;
    readonly at: EpochMs;
    readonly why: string;
  }[];
  /** Of all objects but the policy and clusters, those that do not count whole. */
  readonly objects: readonly {
    readonly title: string;
    readonly state: TrustState;
    readonly messages: readonly string[];
  }[];
}

export interface RootView {
  readonly sha256: Fingerprint;
  readonly subject: string;
  readonly notAfter: EpochMs;
  /** `signing` signs, or is about to; `leaving` signed before; `passive` is trusted by the policy's word alone. */
  readonly role: "signing" | "leaving" | "passive";
}

/** Where a change of the root is (contract identity.md 4.2, R8). */
export interface RotationView {
  readonly phase: "steady" | "add" | "switch" | "wait" | "remove" | "refused";
  /** What is done next and what it waits for, one sentence each, with clusters by name; empty while steady. */
  readonly notes: readonly string[];
}

export interface ManagedClusterView {
  readonly cluster: string;
  readonly trustDomain: string;
  readonly state: TrustState;
  readonly messages: readonly string[];
  readonly link: "connected" | "away" | "never";
  readonly from: string;
  /** Of its last word; undefined if it never said any. */
  readonly heardAt: EpochMs | undefined;
  readonly reported: boolean;
  readonly signingRoot: Fingerprint | undefined;
  readonly issuer: string;
  readonly notAfter: EpochMs | undefined;
  readonly roots: readonly Fingerprint[];
  /** Whether it has carried out its last order. */
  readonly current: boolean;
  readonly waits: readonly string[];
  readonly problems: readonly string[];
  readonly restarts: readonly string[];
  /** Its clock minus ours; undefined if it never said. */
  readonly skewMs: number | undefined;
}
