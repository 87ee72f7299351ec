import type { KeyType } from "../ca/key-type.ts";
import type { ErrorCode } from "../errors.ts";
import type { EpochMs } from "../host.ts";
import type { ClusterId } from "../names.ts";

/** SHA-256 of a certificate in DER, in lower case hex. */
export type Fingerprint = string;

/** How a cluster's intermediate is to be (contract identity.md 4.2, R4). */
export interface IntermediateShape {
  readonly organization: string;
  /** With the cluster's name in it. */
  readonly commonName: string;
  /** 0 for one that signs for workloads alone. */
  readonly pathLength: number;
  readonly lifetimeMs: number;
  readonly keyType: KeyType;
  /** Between 0 and 1: it is renewed when less than this part of its life is left (R6). */
  readonly graceRatio: number;
}

/** Namespaces and services, as in a PeerGrant. */
export interface RelayedScope {
  readonly namespaces: readonly string[];
  /** Undefined is all of them. */
  readonly services: readonly string[] | undefined;
}

/** What Workspaces leave of what this cluster and another may share; all scopes of one direction add up. */
export interface Bound {
  /** Undefined: whoever has no bound of its own. */
  readonly cluster: ClusterId | undefined;
  /** What the other may read here; empty is nothing. */
  readonly exports: readonly RelayedScope[];
  /** What the other may contribute endpoints to; empty is nothing. */
  readonly imports: readonly RelayedScope[];
}

/** What the manager wants of one cluster. */
export interface Order {
  /** The same for the same content. */
  readonly generation: string;
  readonly trustDomain: string;
  readonly intermediate: IntermediateShape;
  /** In DER: what the cluster is to trust, all of it. */
  readonly roots: readonly Uint8Array[];
  /** Of the root under which it is to sign; undefined while it is to keep what it has. */
  readonly signingRoot: Fingerprint | undefined;
  readonly autoRestartPods: boolean;
  /** Undefined: nothing bounds what is shared. */
  readonly bounds: readonly Bound[] | undefined;
}

/** Before there is a client certificate. */
export interface EnrollRequest {
  /** As `causeway trust token` prints it. */
  readonly token: string;
  readonly cluster: ClusterId;
  /** PKCS#10 in PEM, of which only the key counts. */
  readonly csr: string;
  /** Undefined if it does not say. */
  readonly clock: EpochMs | undefined;
}

/** With the client certificate that ends soon. */
export interface RenewRequest {
  readonly csr: string;
}

/** What answers both. All in PEM, one certificate each. */
export interface ClientCredentials {
  /** Leaf first, the root left out. */
  readonly chain: readonly string[];
  /** What verifies the manager from now on; it takes the place of whatever did before. */
  readonly relayRoots: readonly string[];
}

export interface Hello {
  readonly cluster: ClusterId;
  readonly version: string;
  readonly clock: EpochMs;
}

/** A cluster asks for its intermediate. */
export interface IntermediateRequest {
  /** Names the answer. */
  readonly id: string;
  /** PKCS#10 in PEM. */
  readonly csr: string;
  /** Of the order by which it was made. */
  readonly generation: string;
}

export interface SignedIntermediate {
  /** In DER: the intermediate, then what is between it and the root; the root is left out. */
  readonly chain: readonly Uint8Array[];
  readonly root: Uint8Array;
}

/** What is so in a cluster now. Public facts alone. */
export interface ClusterReport {
  /** Of the last order that is carried out in whole; empty if none is. */
  readonly generation: string;
  /** In DER, as workloads there are told to trust now. */
  readonly roots: readonly Uint8Array[];
  /** In DER: the certificate that signs now, and its chain without the root; empty if there is none. */
  readonly chain: readonly Uint8Array[];
  readonly signingRoot: Fingerprint | undefined;
  /** How long after a root is published every workload there has it, and how long what an authority signed may live. */
  readonly rootWaitMs: number;
  /** What is staged and waits, and why. */
  readonly waits: readonly string[];
  readonly problems: readonly string[];
  /** What has to be restarted, or was, where that was asked for. */
  readonly restarts: readonly string[];
  readonly clock: EpochMs;
  readonly version: string;
}

export type ClusterMessage =
  | { readonly kind: "hello"; readonly hello: Hello }
  | { readonly kind: "request"; readonly request: IntermediateRequest }
  | { readonly kind: "report"; readonly report: ClusterReport }
  | { readonly kind: "ping"; readonly clock: EpochMs };

export type ManagerMessage =
  | { readonly kind: "order"; readonly order: Order }
  | { readonly kind: "certificate"; readonly id: string; readonly signed: SignedIntermediate }
  | {
      readonly kind: "refusal";
      /** Of a request; empty if the order itself cannot be made. */
      readonly id: string;
      readonly code: ErrorCode;
      readonly reason: string;
      /** 0 if only a new order can help. */
      readonly retryAfterMs: number;
    }
  | { readonly kind: "ping"; readonly clock: EpochMs };
