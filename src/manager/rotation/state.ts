import type { Ders } from "../../ca/root-anchor.ts";
import type { Clock } from "../../host.ts";
import type { ClusterId } from "../../names.ts";
import type { Anchor, ClusterTrust } from "./cluster.ts";
import type { RotationGates } from "./gates.ts";

/** Where the mesh is between its roots. */
export interface RotationState {
  readonly clock: Clock;
  readonly gates: RotationGates;
  /** By name; undefined before the registrations were read. */
  readonly registered: ReadonlySet<ClusterId> | undefined;
  /** Those that count. */
  readonly clusters: ReadonlyMap<ClusterId, ClusterTrust>;
  /** What all clusters are told to trust, */
  readonly mesh: ReadonlyMap<Anchor, Ders>;
  /** and what of that the source and the policy want. */
  readonly wanted: ReadonlyMap<Anchor, Ders>;
  /** Taken out; some cluster may not have said so yet. */
  readonly dropped: ReadonlyMap<Anchor, DroppedRoot>;
  /** Under which all are to sign in the end. */
  readonly goal: Anchor | undefined;
  /** The certificate of it that the source names. */
  readonly goalDer: Uint8Array | undefined;
  /** The goal before, until nothing is left of it. */
  readonly former: Anchor | undefined;
  /** Whether clusters may switch from the former to the goal. */
  readonly opened: boolean;
}

export interface DroppedRoot {
  readonly ders: Ders;
  /** Of `Clock.elapsedMs`. */
  readonly at: number;
}

/** The certificate of a root that ends last. */
export function certificateOf(
  { mesh, wanted, dropped }: RotationState,
  root: Anchor | undefined,
): Uint8Array | undefined {
  if (root === undefined) return undefined;
  return (mesh.get(root) ?? dropped.get(root)?.ders ?? wanted.get(root))?.[0];
}

/** The slowest cluster's: certificates of one cluster are shown in all others. */
export const longestWaitMs = ({ clusters }: RotationState): number =>
  Math.max(0, ...Array.from(clusters.values(), ({ waitMs }) => waitMs));

/** Under which a cluster signs that has nothing yet. */
export const baseOf = ({ goal, former, opened }: RotationState): Anchor | undefined =>
  former === undefined || opened ? goal : former;

/** Whether every workload of a cluster has the root by now. */
export function hasLearned(state: RotationState, cluster: ClusterTrust, root: Anchor): boolean {
  return state.gates.told(cluster, root) && state.gates.learned(cluster, root, longestWaitMs(state));
}

/** Whether workloads of other clusters take what it signs. */
const isJoined = ({ mesh }: RotationState, cluster: ClusterTrust): boolean =>
  [...mesh.keys()].some((root) => cluster.signing === root || cluster.wasGiven(root));

/** Whether it said that nothing signs there, and nothing that did can live. */
const isEmpty = (state: RotationState, cluster: ClusterTrust): boolean =>
  cluster.heard !== undefined && ![...cluster.signers].some((root) => uses(state, cluster, root));

/** Whether nobody may switch to the goal yet because of it. One that comes later is none of those that had to be asked first. */
export function holdsSwitch(state: RotationState, cluster: ClusterTrust): boolean {
  const { goal, opened } = state;
  if (goal === undefined || hasLearned(state, cluster, goal)) return false;
  return isJoined(state, cluster) || (!opened && !isEmpty(state, cluster));
}

/** Whether certificates under the root may be shown by workloads of the cluster. */
export function uses(state: RotationState, cluster: ClusterTrust, root: Anchor): boolean {
  return state.gates.signs(cluster, root) || state.gates.lives(cluster, root, longestWaitMs(state));
}

export const isInUse = (state: RotationState, root: Anchor): boolean =>
  [...state.clusters.values()].some((cluster) => uses(state, cluster, root));

/** The root under which a cluster is to sign; undefined while it is to keep what it has. */
export function signerFor(state: RotationState, cluster: ClusterTrust | undefined): Anchor | undefined {
  const [base, { goal, mesh }] = [baseOf(state), state];
  if (base === undefined || cluster?.heard === undefined) return undefined;
  const { signing } = cluster;
  if (signing === goal) return goal;
  if (signing === undefined || signing === base || mayMove(state, cluster, base)) return base;
  return mesh.has(signing) ? signing : undefined;
}

/**
 * Registered, and never heard of by anybody whose memory we have. If that was lost, or clusters join a mesh that was there
 * before us, these may share a root with one that comes with its own, and know no other.
 */
export const unheardOf = ({ registered, clusters }: RotationState): readonly ClusterId[] =>
  [...(registered ?? [])].filter((name) => clusters.get(name)?.heard === undefined);

/** Whether it signs under a root that is none of the mesh's. */
const isStranger = ({ mesh }: RotationState, { signing }: ClusterTrust): boolean =>
  signing !== undefined && !mesh.has(signing);

/** Whether all who are shown certificates of the cluster take those under the root. */
function mayMove(state: RotationState, cluster: ClusterTrust, root: Anchor): boolean {
  if (isStranger(state, cluster) && unheardOf(state).length > 0) return false;
  return [...state.clusters.values()].every(
    (other) =>
      hasLearned(state, other, root) ||
      (other !== cluster && other.signing !== cluster.signing && !isJoined(state, other)),
  );
}

/** Clusters that have not said yet that they trust a root no more that was taken out. */
export const stillTrusting = ({ clusters }: RotationState, root: Anchor): readonly ClusterId[] =>
  [...clusters].flatMap(([name, cluster]) => (cluster.isLeaving(root) && !cluster.own.has(root) ? [name] : []));
