import type { KeyType } from "../ca/key-type.ts";
import type { EpochMs } from "../host.ts";
import type { ClusterId } from "../names.ts";

/** A namespaced object of the trust manager's own cluster. */
export interface TrustObjectId {
  readonly kind: TrustKind;
  readonly namespace: string;
  readonly name: string;
  /** Of two that cannot both hold, the older one does. */
  readonly createdMs: EpochMs;
  /** 0 if the API server gave none. */
  readonly observedGeneration: number;
  /** As `trust/policy.yaml:3`; empty if from an API server. */
  readonly origin: string;
}

export const TRUST_KINDS = [
  "RootTrustPolicy",
  "CASource",
  "IdentityProvider",
  "KubernetesCluster",
  "Workspace",
  "WorkspaceSettings",
] as const;
export type TrustKind = (typeof TRUST_KINDS)[number];

export interface ObjectName {
  readonly namespace: string;
  readonly name: string;
}

/** Where intermediates come from, as a policy or its CASource says. */
export type SourceSpec =
  | {
      readonly kind: "generated";
      readonly organization: string;
      readonly keyType: KeyType;
      readonly lifetimeMs: number;
    }
  /** Four files as in `cacerts`, or `tls.crt`, `tls.key` and `ca.crt`. */
  | { readonly kind: "secret"; readonly secret: ObjectName }
  | {
      readonly kind: "cert-manager";
      readonly issuer: { readonly group: string; readonly kind: string; readonly name: string };
      /** Of the CertificateRequests. */
      readonly namespace: string;
    }
  | VaultSpec;

export interface VaultSpec {
  readonly kind: "vault";
  /** `https://host:port`. */
  readonly server: string;
  /** Vault Enterprise's and OpenBao's namespace; empty for none. */
  readonly vaultNamespace: string;
  /** As written, as `pki_int/root/sign-intermediate`. */
  readonly caPath: string;
  /** Empty if none. */
  readonly rolePath: string;
  /** PEM that verifies the server; undefined, with no `caBundleSecret` either, for the roots of this machine. */
  readonly caBundle: string | undefined;
  /** A Secret whose key `ca.crt` holds that PEM, for whoever can read it; undefined if there is none. */
  readonly caBundleSecret: ObjectName | undefined;
  readonly auth: VaultAuth;
}

export type VaultAuth =
  | {
      readonly kind: "kubernetes";
      /** Of the auth method, without `auth/`, as `kubernetes`. */
      readonly mountPath: string;
      readonly role: string;
      /** Of our own service account; where Kubernetes mounts it by default. */
      readonly tokenFile: string;
    }
  /** Key `token` of a Secret. */
  | { readonly kind: "token"; readonly secret: ObjectName };

/** The one RootTrustPolicy that counts, with all that it refers to. */
export interface EffectivePolicy {
  readonly id: TrustObjectId;
  readonly source: SourceSpec;
  /** In DER: trusted beside the source's own, and signing nothing. */
  readonly passiveRoots: readonly Uint8Array[];
  /** Secrets whose `root-cert.pem`, or `ca.crt` if they have none, is trusted likewise; for whoever can read them. */
  readonly passiveSecrets: readonly ObjectName[];
  readonly intermediate: {
    readonly organization: string;
    readonly lifetimeMs: number;
    readonly keyType: KeyType;
    readonly pathLength: number;
    readonly graceRatio: number;
  };
  readonly autoRestartPods: boolean;
  /** Of annotation `trust.causeway.dev/rotate-root`: a new value asks for a new generated root. Empty if not there. */
  readonly rotateRoot: string;
}

/** A cluster that may call. */
export interface RegisteredCluster {
  readonly id: TrustObjectId;
  readonly cluster: ClusterId;
  readonly clusterDomain: string;
  /** By its IdentityProvider, or that for all. */
  readonly trustDomain: string;
}

export type TrustState = "PENDING" | "ACCEPTED" | "WARNING" | "INVALID" | "FAILED";

/** What is written into the status of one object: what it says and refers to, judged. */
export interface Judgement {
  readonly id: TrustObjectId;
  readonly state: TrustState;
  /** Sentences; the first says most. Empty for an ACCEPTED one that has nothing to add. */
  readonly messages: readonly string[];
}
