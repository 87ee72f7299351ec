import type { Caller } from "../caller.ts";
import { MeshError } from "../errors.ts";
import type { ClusterId } from "../names.ts";
import { formatServiceAccountId, parseServiceAccountId, type ServiceAccountId } from "../spiffe.ts";
import type { Bearer, PodFacts } from "./signer.ts";

/** What is known of the pods that run now; one that has ended is as if it never was. */
export interface LivePods {
  /** Undefined unless exactly this one, by uid, is live. */
  find(cluster: ClusterId, namespace: string, name: string, uid: string): PodFacts | undefined;
  /**
   * The live pods on a node for which its ztunnel would show the identity of an account: those that it captures, or all
   * while it captures none of them, as when it asks before they are enrolled.
   */
  holders(cluster: ClusterId, node: string, namespace: string, serviceAccount: string): readonly PodFacts[];
}

export interface AuthorizationRules {
  /** Of the identities that are signed here. */
  readonly trustDomain: string;
  /** Other names of it, now: callers may have them, certificates never. */
  readonly aliases?: ReadonlySet<string>;
  /** Who may ask for the pods of its node, as `istio-system/ztunnel`. */
  readonly trustedNodeAccounts: ReadonlySet<string>;
  readonly pods: LivePods;
}

/** What a caller may have. */
export interface Authorized {
  readonly identity: ServiceAccountId;
  /** Undefined if it asks for its own with a token that names no live pod. */
  readonly bearer: Bearer | undefined;
}

/**
 * May this caller have this identity? With a token its own always; another only a trusted node account, and only that
 * of a pod which is live on the node of the caller's own pod (contract ztunnel.md 4.4, and stricter: the trust domain
 * counts, and a certificate gets nobody another one, operations.md 3.3, S1).
 * @param asked the identity to impersonate, as it was sent; undefined for the caller's own.
 * @returns the identity to sign for, and who will show it.
 * @throws MeshError `denied`, with the reason for the log; the client gets less.
 */
export function authorizeIdentity(caller: Caller, asked: string | undefined, rules: AuthorizationRules): Authorized {
  // A node holds its pods' certificates, and could renew them for ever after the pods have ended or moved.
  if (caller.via !== "token")
    throw new MeshError("denied", "a certificate does not show that its pod is live; it has to ask with a token");
  if (asked === undefined) return { identity: ownIdentity(caller, rules), bearer: ownBearer(caller, rules) };
  const identity = parseAsked(asked);
  if (identity.trustDomain !== rules.trustDomain)
    throw new MeshError(
      "denied",
      `it asked for trust domain ${identity.trustDomain}; this one is ${rules.trustDomain}`,
    );
  const { namespace, serviceAccount } = caller.identity;
  if (!rules.trustedNodeAccounts.has(`${namespace}/${serviceAccount}`))
    throw new MeshError("denied", `${namespace}/${serviceAccount} is not a trusted node account`);
  if (caller.pod === undefined)
    throw new MeshError("denied", "its credentials are not bound to a pod, so its node is unknown");
  const pod = rules.pods.find(caller.cluster, namespace, caller.pod.name, caller.pod.uid);
  if (pod === undefined) throw new MeshError("denied", `its pod ${namespace}/${caller.pod.name} is not live`);
  if (pod.serviceAccount !== serviceAccount)
    throw new MeshError("denied", `its pod ${caller.pod.name} runs as ${pod.serviceAccount}, not ${serviceAccount}`);
  if (pod.node === "") throw new MeshError("denied", `its pod ${namespace}/${caller.pod.name} is on no node`);
  const [holder, ...more] = rules.pods.holders(caller.cluster, pod.node, identity.namespace, identity.serviceAccount);
  if (holder === undefined)
    throw new MeshError("denied", `no live pod of ${formatServiceAccountId(identity)} is on its node ${pod.node}`);
  return { identity, bearer: { cluster: caller.cluster, node: pod.node, pods: [holder, ...more] } };
}

function ownBearer({ cluster, identity, pod }: Caller, { pods }: AuthorizationRules): Bearer | undefined {
  const holder = pod && pods.find(cluster, identity.namespace, pod.name, pod.uid);
  return holder && holder.node !== "" ? { cluster, node: holder.node, pods: [holder] } : undefined;
}

function ownIdentity({ identity }: Caller, { trustDomain, aliases }: AuthorizationRules): ServiceAccountId {
  if (identity.trustDomain === trustDomain) return identity;
  if (aliases?.has(identity.trustDomain) === true) return { ...identity, trustDomain };
  throw new MeshError("denied", `its trust domain is ${identity.trustDomain}; this one is ${trustDomain}`);
}

function parseAsked(asked: string): ServiceAccountId {
  try {
    return parseServiceAccountId(asked);
  } catch (thrown) {
    throw new MeshError("denied", MeshError.from(thrown).message, {}, { cause: thrown });
  }
}
