import type { EpochMs } from "../../host.ts";
import type { IdentityMode } from "../../spire-config.ts";
import type { AgentStatus } from "../agent-api.ts";
import type { ServerStatus } from "../calls.ts";
import type { RegistrationState } from "../registrar.ts";
import type { Census } from "./census.ts";

/** All that checks are made of: what a control plane knows of SPIRE at one moment. */
export interface SpireFacts {
  readonly now: EpochMs;
  readonly mode: IdentityMode;
  /** Our own. */
  readonly trustDomain: string;
  /** Undefined if none is asked. */
  readonly server: ServerStatus | undefined;
  /** Undefined if none is followed. */
  readonly agent: AgentStatus | undefined;
  /** What we show SPIRE's server; undefined if the agent has not given it, or over the server's socket. */
  readonly own: OwnSvid | undefined;
  /** With mode spire-downstream. */
  readonly authority: AuthorityFacts | undefined;
  /** SPIRE's: our own trust domain's, even if nothing is known of it, and federated ones; then those that are read elsewhere. */
  readonly bundles: readonly BundleFacts[];
  readonly peers: readonly PeerFacts[];
  /** Undefined unless entries decide here who is signed for, or are to. */
  readonly census: Census | undefined;
  /** Undefined if it does not matter here whom SPIRE knows. */
  readonly registration: RegistrationFacts | undefined;
  /** Whoever asks SPIRE's agents for the identities of others. */
  readonly delegates: readonly DelegateFacts[];
  /** Identities whose last request was refused though their callers may have them, the last first. */
  readonly refused: readonly RefusedFacts[];
}

export interface OwnSvid {
  readonly spiffeId: string;
  readonly notBefore: EpochMs;
  readonly notAfter: EpochMs;
}

export interface AuthorityFacts {
  /** Undefined until SPIRE has given us one. */
  readonly notAfter: EpochMs | undefined;
  /** Why it does not sign, or could not be renewed; as problems say it. */
  readonly faults: readonly { readonly severity: string; readonly message: string }[];
}

export interface BundleFacts {
  readonly trustDomain: string;
  readonly roots: readonly RootFacts[];
  /** Undefined if whoever said it does not count. */
  readonly sequence: bigint | undefined;
  /** Who said it, as `SPIRE's server`, or the URL where it is read. */
  readonly source: string;
  /** When it was last said; undefined if it is only remembered. */
  readonly saidAt: EpochMs | undefined;
  /** Why what is said of it now is not in use, or nothing is; undefined if it is. */
  readonly refused: string | undefined;
  /** Why it could not be read lately; undefined if it could. */
  readonly unread: string | undefined;
}

export interface RootFacts {
  /** Of its DER, in hexadecimal. */
  readonly sha256: string;
  readonly subject: string;
  readonly notBefore: EpochMs;
  readonly notAfter: EpochMs;
  /** On its way out. */
  readonly tainted: boolean;
}

/** What another cluster says that it trusts for its own trust domain, and what we trust for that: SHA-256 in hexadecimal. */
export interface PeerFacts {
  readonly cluster: string;
  readonly trustDomain: string;
  readonly announced: readonly string[];
  readonly held: readonly string[];
  /** Announced, and not held: who is under them is refused here. */
  readonly missing: readonly string[];
  /** Held for our own trust domain, which is the peer's too, and not announced: who is under them is refused there. */
  readonly unknownThere: readonly string[];
  /** True if our workloads have none of the roots that are announced. */
  readonly keptFromWorkloads: boolean;
  /** For how long it has not confirmed that. */
  readonly ageMs: number;
}

/** What is known of registration: entries that we make, and ClusterSPIFFEIDs. */
export interface RegistrationFacts {
  /** `off`, `built-in`, or the file of our templates. */
  readonly register: string;
  /** Undefined if we make no entries. */
  readonly state: RegistrationState | undefined;
  /** Why the file of our templates does not count as it is now. */
  readonly fileTrouble: string | undefined;
  readonly spiffeIds: readonly TemplateFacts[];
  /** Pods of the mesh whose identity none of those gives them. */
  readonly uncovered: readonly UncoveredFacts[];
}

export interface TemplateFacts {
  readonly name: string;
  readonly template: string;
  /** Why it gives no identities of the mesh; empty if it does, undefined if only SPIRE's controller can tell. */
  readonly whyNotMesh: string | undefined;
}

export interface UncoveredFacts {
  readonly namespace: string;
  readonly name: string;
  /** The identity that it would have to have. */
  readonly spiffeId: string;
  readonly selectedBy: readonly { readonly name: string; readonly why: string }[];
}

export interface DelegateFacts {
  /** As `Gateway shop/waypoint`, or `ztunnels`. */
  readonly who: string;
  readonly spiffeId: string;
  /** How many of them are connected to us with an identity that only an agent can have given them. */
  readonly proven: number;
}

export interface RefusedFacts {
  readonly spiffeId: string;
  readonly at: EpochMs;
  readonly why: string;
  readonly node: string | undefined;
}
