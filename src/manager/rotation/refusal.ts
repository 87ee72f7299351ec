import { anchorOf, type Ders } from "../../ca/root-anchor.ts";
import { formatDuration } from "../../duration.ts";
import type { Anchor } from "./cluster.ts";
import { certificateOf, longestWaitMs, type RotationState, stillTrusting } from "./state.ts";
import { titleOf } from "./title.ts";

/** Why a root cannot become the one that signs, with the plan that would work; empty if it can. */
export function refusalOf(state: RotationState, signing: Uint8Array, wanted: ReadonlyMap<Anchor, Ders>): string {
  const { goal, former, mesh, clusters, dropped } = state;
  const next = anchorOf(signing);
  if (goal === undefined || next === goal) return "";
  if (dropped.has(next)) return whyNotBack(state, signing);
  const old = mesh.get(goal)?.[0];
  // One that ended verifies nothing any more: there is nothing to overlap with.
  if (old === undefined || clusters.size === 0 || next === former) return "";
  if (former !== undefined) return whyNoThird(state, signing, old);
  return wanted.has(goal) ? "" : planFor(state, signing, old);
}

function whyNotBack(state: RotationState, signing: Uint8Array): string {
  const who = stillTrusting(state, anchorOf(signing)).join(", ");
  const waits = who === "" ? "what was said of it has arrived, within a minute" : `${who} reported that it is gone`;
  return `root ${titleOf(signing)} was just taken out, and cannot sign again before ${waits}`;
}

function whyNoThird(state: RotationState, signing: Uint8Array, goal: Uint8Array): string {
  const from = certificateOf(state, state.former);
  const change = from ? `from root ${titleOf(from)} to ${titleOf(goal)}` : `to root ${titleOf(goal)}`;
  return (
    `the source signs under root ${titleOf(signing)} now, while the change ${change} is under way: a third root waits until ` +
    `that is over. Put ${titleOf(goal)} back to finish it` +
    (from === undefined ? "" : `, or ${titleOf(from)} to turn back,`) +
    ` and then ask for ${titleOf(signing)}`
  );
}

/** Step by step, with names. */
function planFor(state: RotationState, signing: Uint8Array, old: Uint8Array): string {
  const [from, to] = [titleOf(old), titleOf(signing)];
  const wait = formatDuration(longestWaitMs(state));
  return (
    `the source signs under root ${to} now and no longer names ${from}, which all clusters trust and sign under: workloads ` +
    `would refuse each other, so ${from} stays and no cluster gets an intermediate under ${to}. What works: ` +
    `1. put the certificate of ${from} into config.passiveCertificateAuthorities of the RootTrustPolicy; ` +
    `2. wait: every cluster is told to trust both, ${wait} later each switches to ${to}, and ${wait} after the last one ` +
    `"causeway trust status" says steady; ` +
    `3. take ${from} out of passiveCertificateAuthorities. Or have the source sign under ${from} again`
  );
}
