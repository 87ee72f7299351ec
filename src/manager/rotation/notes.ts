import { readCertificate } from "../../ca/certificate-fields.ts";
import { minuteOf } from "../../ca/root-anchor.ts";
import { formatDuration } from "../../duration.ts";
import type { ClusterId } from "../../names.ts";
import type { Anchor, ClusterTrust } from "./cluster.ts";
import { certificateOf, hasLearned, holdsSwitch, isInUse, longestWaitMs } from "./state.ts";
import { type RotationState, stillTrusting, uses } from "./state.ts";
import { endOf, minuteIn, titleOf } from "./title.ts";
import { sinceHeard, whyItWaits } from "./under.ts";
import type { RotationView } from "../view.ts";

/** Where the mesh is, what comes next and what that waits for. */
export function rotationNotes(state: RotationState, refusal: string): RotationView {
  const { phase, notes } = changeNotes(state);
  const others = [...leavingNotes(state), ...strangerNotes(state)];
  const refused = refusal === "" ? [] : [refusal];
  if (phase !== "steady") return { phase, notes: [...notes, ...others, ...refused] };
  if (refusal !== "") return { phase: "refused", notes: [...refused, ...others] };
  return { phase: quietPhase(state), notes: others };
}

type Change = Pick<RotationView, "phase" | "notes">;

function changeNotes(state: RotationState): Change {
  const { goal, former, opened } = state;
  const [from, to] = [certificateOf(state, former), certificateOf(state, goal)];
  if (former === undefined || to === undefined || from === undefined) return { phase: "steady", notes: [] };
  if (!opened) return { phase: "add", notes: addNotes(state, from, to) };
  const unswitched = [...state.clusters].filter(([, cluster]) => state.gates.signs(cluster, former));
  if (unswitched.length > 0) return { phase: "switch", notes: switchNotes(state, unswitched, from, to) };
  if (isInUse(state, former)) return { phase: "wait", notes: [waitNote(state, former, from)] };
  return { phase: "remove", notes: [] };
}

function quietPhase({ dropped, mesh, wanted, ...state }: RotationState): RotationView["phase"] {
  const whole = { dropped, mesh, wanted, ...state };
  if ([...mesh.keys()].some((root) => !wanted.has(root))) return "wait";
  return [...dropped.keys()].some((root) => stillTrusting(whole, root).length > 0) ? "remove" : "steady";
}

function addNotes(state: RotationState, from: Uint8Array, to: Uint8Array): readonly string[] {
  const wait = formatDuration(longestWaitMs(state));
  return [
    `clusters learn root ${titleOf(to)} beside ${titleOf(from)}, and the first one switches when all have trusted it for ${wait}`,
    ...switchHolders(state),
    ...endNotes(state, from, to),
  ];
}

/** Who holds the switch to the goal, and until when. */
export function switchHolders(state: RotationState): readonly string[] {
  const holders = [...state.clusters].filter(([, cluster]) => holdsSwitch(state, cluster));
  return holders.map(([name, cluster]) => holderNote(state, name, cluster));
}

function holderNote(state: RotationState, name: ClusterId, cluster: ClusterTrust): string {
  const to = certificateOf(state, state.goal);
  if (cluster.heard === undefined)
    return `cluster ${name} called and has not reported what it trusts; ${ifGone(state, name)}`;
  const forMs = state.goal === undefined ? undefined : cluster.trustsForMs(state.goal);
  if (forMs === undefined || to === undefined)
    return `cluster ${name} has not reported that it trusts ${to ? titleOf(to) : "the root"} (${sinceHeard(cluster)}); ${ifGone(state, name)}`;
  const leftMs = longestWaitMs(state) - forMs;
  return `cluster ${name} trusts ${titleOf(to)}, and all workloads there do from ${minuteIn(state.clock, leftMs)} on`;
}

const ifGone = ({ registered }: RotationState, name: ClusterId): string =>
  registered?.has(name) === false
    ? "it is registered no more, and counts for two minutes yet"
    : `if it is gone for good, delete KubernetesCluster ${name}`;

function switchNotes(
  state: RotationState,
  unswitched: readonly (readonly [ClusterId, ClusterTrust])[],
  from: Uint8Array,
  to: Uint8Array,
): readonly string[] {
  const { goal } = state;
  const held = switchHolders(state);
  return [
    `each cluster gets an intermediate under root ${titleOf(to)}; until then it signs under ${titleOf(from)}`,
    ...unswitched.map(([name, cluster]) =>
      cluster.heard === undefined
        ? holderNote(state, name, cluster)
        : `cluster ${name} has not reported that it switched (${sinceHeard(cluster)}); ${ifGone(state, name)}`,
    ),
    ...(goal === undefined ? [] : held.map((note) => `no further cluster switches meanwhile: ${note}`)),
  ];
}

function waitNote(state: RotationState, root: Anchor, der: Uint8Array): string {
  const waitMs = longestWaitMs(state);
  const ages = [...state.clusters].flatMap(([name, cluster]) => {
    const agoMs = cluster.signedAgoMs(root);
    return agoMs !== undefined && uses(state, cluster, root) ? [{ name, agoMs }] : [];
  });
  const last = ages.sort((one, other) => one.agoMs - other.agoMs)[0];
  const until = last && minuteIn(state.clock, waitMs - last.agoMs);
  const signed = last && `what cluster ${last.name} signed under it may live for ${formatDuration(waitMs)}`;
  return `root ${titleOf(der)} stays trusted${until ? ` until ${until}, as ${signed}` : ""}`;
}

/** Roots that nobody wants any more. */
function leavingNotes(state: RotationState): readonly string[] {
  const { mesh, wanted, former, dropped, clusters } = state;
  const held = [...mesh].filter(([root]) => !wanted.has(root) && root !== former);
  const notes = held.map(([root, [der]]) => {
    const signers = [...clusters].filter(([, cluster]) => state.gates.signs(cluster, root)).map(([name]) => name);
    if (signers.length === 0) return waitNote(state, root, der);
    return `root ${titleOf(der)} was taken out and stays trusted, as ${named(signers)} may sign under it`;
  });
  const removed = [...dropped].flatMap(([root, { ders }]) => {
    const who = stillTrusting(state, root);
    if (who.length === 0) return [];
    return [`root ${titleOf(ders[0])} is taken out; ${named(who)} has not reported yet that it is gone there`];
  });
  return [...notes, ...removed];
}

const named = (clusters: readonly ClusterId[]): string =>
  `${clusters.length === 1 ? "cluster" : "each of the clusters"} ${clusters.join(", ")}`;

/** Clusters that came with a root of their own. */
function strangerNotes(state: RotationState): readonly string[] {
  return [...state.clusters].flatMap(([name, cluster]) => {
    const { signing, own } = cluster;
    if (signing === undefined || state.mesh.has(signing)) return [];
    const [der] = own.get(signing) ?? [];
    const root = der ? `root ${titleOf(der)}` : "a root that it does not show";
    return [
      `cluster ${name} signs under ${root}, which is not the mesh's, until it may switch: ${whyItWaits(state, cluster)}`,
    ];
  });
}

/** A root that ends while it is still needed: said while something can be done. */
function endNotes(state: RotationState, from: Uint8Array, to: Uint8Array): readonly string[] {
  const { goal, clock } = state;
  const waitMs = longestWaitMs(state);
  const leftMs = [...state.clusters.values()]
    .filter((cluster) => goal !== undefined && !hasLearned(state, cluster, goal) && holdsSwitch(state, cluster))
    .map((cluster) => waitMs - (goal === undefined ? 0 : (cluster.trustsForMs(goal) ?? 0)));
  const readyAt = clock.now() + Math.max(0, ...leftMs);
  const ends = (der: Uint8Array): number => readCertificate(der).notAfter;
  return [
    ...(ends(from) > readyAt
      ? []
      : [
          `root ${titleOf(from)} ends at ${endOf(from)}, before clusters can have switched (${minuteOf(readyAt)} at the ` +
            "earliest): from then on nothing that was signed under it is taken; a shorter --root-wait helps if certificates live no longer than that",
        ]),
    ...(ends(to) > readyAt + waitMs
      ? []
      : [`root ${titleOf(to)} ends at ${endOf(to)}, before the change to it can be over; use one that lives longer`]),
  ];
}
