import type { Metadata } from "../../registry/kube/metadata.ts";
import type { TrustKind, TrustObjectId } from "../policy.ts";

export function trustObjectId(kind: TrustKind, metadata: Metadata): TrustObjectId {
  const { namespace, name, createdMs, generation, origin } = metadata;
  return { kind, namespace, name, createdMs, observedGeneration: generation, origin };
}

/** As `CASource gloo-mesh/byo-root`. */
export const titleOf = ({ kind, namespace, name }: Pick<TrustObjectId, "kind" | "namespace" | "name">): string =>
  `${kind} ${namespace}/${name}`;

/** Of two that cannot both hold, the older comes first, and of two as old the one whose name does. */
export function byAge(a: TrustObjectId, b: TrustObjectId): number {
  if (a.createdMs !== b.createdMs) return a.createdMs - b.createdMs;
  const [left, right] = [`${a.namespace}/${a.name}`, `${b.namespace}/${b.name}`];
  return left < right ? -1 : left > right ? 1 : 0;
}
