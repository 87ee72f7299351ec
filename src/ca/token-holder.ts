import type { Caller } from "../caller.ts";
import { MeshError } from "../errors.ts";
import type { LivePods } from "./authorize.ts";

/** RFC 1123, as Kubernetes names are; nothing else may reach an identity. */
const NAME = /^[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?$/;

/**
 * The service account that a token is of, by its user name, as `system:serviceaccount:shop:cart`.
 * @throws MeshError `unauthenticated` if it is another user's.
 */
export function accountOf(username: string): { readonly namespace: string; readonly serviceAccount: string } {
  const [system, kind, namespace = "", serviceAccount = "", ...rest] = username.split(":");
  const named = system === "system" && kind === "serviceaccount" && rest.length === 0;
  if (named && NAME.test(namespace) && !namespace.includes(".") && NAME.test(serviceAccount))
    return { namespace, serviceAccount };
  throw new MeshError("unauthenticated", "the token is not of a service account");
}

/**
 * The pod that a token's claim `kubernetes.io` binds it to; undefined if it is bound to none.
 * @throws MeshError `unauthenticated` if the binding cannot be read.
 */
export function boundPod(claim: unknown): Caller["pod"] {
  if (claim === null || typeof claim !== "object" || !("pod" in claim)) return undefined;
  const { pod } = claim;
  if (pod !== null && typeof pod === "object" && "name" in pod && "uid" in pod)
    if (typeof pod.name === "string" && typeof pod.uid === "string") return { name: pod.name, uid: pod.uid };
  throw new MeshError("unauthenticated", "the token's binding to a pod cannot be read");
}

/** @throws MeshError `unauthenticated` if the caller's token is bound to a pod that is not live, or not the caller's. */
export function requireLivePod({ cluster, identity, pod }: Caller, pods: LivePods): void {
  if (pod === undefined) return;
  const live = pods.find(cluster, identity.namespace, pod.name, pod.uid);
  if (live?.serviceAccount === identity.serviceAccount) return;
  throw new MeshError(
    "unauthenticated",
    `the token is bound to pod ${identity.namespace}/${pod.name}, which is not live`,
  );
}
