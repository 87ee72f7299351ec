import { MeshError } from "../errors.ts";
import type { EpochMs } from "../host.ts";
import { type ClusterAuthority, isIssuedBy } from "./cluster-authority.ts";

/** In their order. Between two of them all workloads must have had a new certificate (contract identity.md 3.3). */
export const ROTATION_STEPS = ["add-root", "switch", "remove-root"] as const;
export type RotationStep = (typeof ROTATION_STEPS)[number];

/** Where a cluster is on its way from one root to another. */
export interface RotatingCluster {
  readonly folder: string;
  readonly signedBy: "old" | "new";
  readonly trustsOld: boolean;
  readonly trustsNew: boolean;
  readonly rootsWrittenAt: EpochMs;
  readonly issuedAt: EpochMs;
}

export interface PlannedStep {
  readonly step: RotationStep;
  /** Of `next`, one may be done now; what `waits` is next, and too early. */
  readonly state: "done" | "next" | "waits" | "later";
  /** When what waits may be done. */
  readonly from?: EpochMs;
}

/** @throws MeshError `conflict` for an authority that neither root issued. */
export function rotatingCluster(cluster: ClusterAuthority, oldRoot: Uint8Array, newRoot: Uint8Array): RotatingCluster {
  const { folder, last, roots, rootsWrittenAt, issuedAt } = cluster;
  const trusts = (root: Uint8Array): boolean => roots.some((trusted) => Buffer.from(trusted).equals(root));
  const signedBy = isIssuedBy(last, oldRoot) ? "old" : isIssuedBy(last, newRoot) ? "new" : undefined;
  if (signedBy === undefined)
    throw new MeshError("conflict", `${folder}: neither root issued its authority; name the one that did with --root`);
  return { folder, signedBy, trustsOld: trusts(oldRoot), trustsNew: trusts(newRoot), rootsWrittenAt, issuedAt };
}

/**
 * What is done, and what may follow. While an authority of the old root is in use, everybody must trust both roots before
 * one of the new root is; the old root goes once no certificate below it can be alive.
 * @param leafTtlMs how long a workload's certificate lives: nobody sees a new root later than that.
 */
export function planRotation(
  clusters: readonly RotatingCluster[],
  leafTtlMs: number,
  now: EpochMs,
): readonly PlannedStep[] {
  const oldInUse = clusters.some(({ signedBy }) => signedBy === "old");
  const bothTrusted = clusters.every(({ trustsOld, trustsNew }) => trustsOld && trustsNew);
  const oldTrusted = clusters.some(({ trustsOld }) => trustsOld);
  const at = oldInUse ? (bothTrusted ? 1 : 0) : oldTrusted ? 2 : ROTATION_STEPS.length;
  const from: Readonly<Record<RotationStep, EpochMs>> = {
    "add-root": 0,
    switch: leafTtlMs + Math.max(...clusters.map(({ rootsWrittenAt }) => rootsWrittenAt)),
    "remove-root": leafTtlMs + Math.max(...clusters.map(({ issuedAt }) => issuedAt)),
  };
  return ROTATION_STEPS.map((step, index) => {
    if (index !== at) return { step, state: index < at ? "done" : "later" };
    return from[step] > now ? { step, state: "waits", from: from[step] } : { step, state: "next" };
  });
}

/** Clusters that a step changes. */
export function concernedBy(step: RotationStep, clusters: readonly RotatingCluster[]): readonly RotatingCluster[] {
  const concerned: Readonly<Record<RotationStep, (cluster: RotatingCluster) => boolean>> = {
    "add-root": ({ trustsOld, trustsNew }) => !trustsOld || !trustsNew,
    switch: ({ signedBy }) => signedBy === "old",
    "remove-root": ({ trustsOld }) => trustsOld,
  };
  return clusters.filter(concerned[step]);
}
