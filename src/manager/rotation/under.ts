import { anchorOf, minuteOf } from "../../ca/root-anchor.ts";
import { formatDuration } from "../../duration.ts";
import type { ClusterId } from "../../names.ts";
import type { ClusterTrust } from "./cluster.ts";
import { baseOf, certificateOf, longestWaitMs, type RotationState, signerFor, unheardOf } from "./state.ts";
import { minuteIn, titleOf } from "./title.ts";

/** Why a cluster may not have an intermediate under a root now, and when it may; undefined if it may. */
export function whyNotUnder(state: RotationState, name: ClusterId, root: Uint8Array): string | undefined {
  const cluster = state.clusters.get(name);
  const signer = signerFor(state, cluster);
  if (signer === anchorOf(root)) return undefined;
  if (cluster?.heard === undefined) return `cluster ${name} has not reported yet what it trusts and what signs there`;
  const named = signer === undefined ? undefined : state.mesh.get(signer)?.[0];
  const under = `cluster ${name} gets no intermediate under root ${titleOf(root)}`;
  if (named === undefined) return `${under} yet: ${whyItWaits(state, cluster)}`;
  if (anchorOf(root) !== state.goal) return `${under}: it is to sign under ${titleOf(named)}`;
  return `${under} yet, only under ${titleOf(named)}: ${whyItWaits(state, cluster)}`;
}

/** Of a cluster that is to sign under another root than it does. */
export function whyItWaits(state: RotationState, cluster: ClusterTrust): string {
  const base = baseOf(state);
  const der = certificateOf(state, base);
  if (base === undefined || der === undefined) return "there is no root that has not ended";
  const waitMs = longestWaitMs(state);
  const forMs = cluster.trustsForMs(base);
  if (forMs === undefined) return `it has not reported yet that workloads there trust ${titleOf(der)}`;
  if (forMs < waitMs)
    return `workloads there are told to trust ${titleOf(der)}, and all of them do from ${minuteIn(state.clock, waitMs - forMs)} on`;
  const unheard = unheardOf(state);
  if (unheard.length > 0)
    return (
      `${unheard.join(", ")} ${unheard.length === 1 ? "is" : "are"} registered and never called: what signs there may be ` +
      "trusted by nobody else, or trust nobody else. Have it call, or delete its KubernetesCluster"
    );
  return `all clusters are to have trusted it for ${formatDuration(waitMs)} first`;
}

export const sinceHeard = ({ heard }: ClusterTrust): string =>
  heard === undefined ? "never heard of" : `last heard of at ${minuteOf(heard.ours)}`;
