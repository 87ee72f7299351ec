import type { Bearer, PodFacts } from "../ca/signer.ts";
import { MeshError } from "../errors.ts";
import type { EpochMs } from "../host.ts";
import { isLive, NODE_NAME } from "./node-agents.ts";
import type { SpireAgent, SpireEntry } from "./spire.ts";

/** What SPIRE's server knows that bears on one identity. */
export interface Registered {
  /** Those of the identity; others do not count. */
  readonly entries: readonly SpireEntry[];
  /** Those whose parent is the server: names for several agents at once. */
  readonly aliases: readonly SpireEntry[];
  readonly agents: AgentsByNode;
}

/** By `cluster/node`, as the attestor k8s_psat names them. */
export type AgentsByNode = ReadonlyMap<string, readonly SpireAgent[]>;

export interface Claim {
  /** With its scheme. */
  readonly identity: string;
  readonly bearer: Bearer;
  /** What SPIRE calls the bearer's cluster. */
  readonly cluster: string;
  readonly now: EpochMs;
}

/** Where agents are, by what their attestation has shown: one that was attested otherwise is on no node. */
export function agentsByNode(agents: readonly SpireAgent[]): AgentsByNode {
  const found = new Map<string, SpireAgent[]>();
  for (const agent of agents) {
    const [cluster, node] = [valueOf(agent, "k8s_psat:cluster:"), valueOf(agent, NODE_NAME)];
    if (cluster === undefined || node === undefined) continue;
    const there = found.get(`${cluster}/${node}`);
    if (there === undefined) found.set(`${cluster}/${node}`, [agent]);
    else there.push(agent);
  }
  return found;
}

const valueOf = ({ selectors }: SpireAgent, prefix: string): string | undefined =>
  selectors.find((selector) => selector.startsWith(prefix))?.slice(prefix.length);

/**
 * The entries that vouch for each pod of the bearer: one of the identity, whose parent is an agent on the pod's node, or
 * an alias of one, and all of whose selectors the pod has. As a ztunnel shows one certificate for them all, a pod that
 * no entry vouches for denies it to the others. SPIRE's server goes by identities: one that may administer it, or be an
 * authority, by any entry could do so by whatever is signed for it here.
 * @throws MeshError `denied`: `message` names the pod, the node, and the selector or agent that is missing of the
 *   nearest entry; `told` in its detail says less, for the node that asked.
 */
export function vouchers(claim: Claim, registered: Registered): readonly [SpireEntry, ...(readonly SpireEntry[])] {
  requireNoRight(claim, registered);
  const parents = parentsOn(claim, registered);
  const found = new Set<SpireEntry>();
  for (const pod of claim.bearer.pods) found.add(voucherOf(pod, claim, registered, parents));
  return [...found] as [SpireEntry, ...SpireEntry[]];
}

const RIGHTS = ["admin", "downstream"] as const;

/** A node can have the identity of each of its pods (contract identity.md 6, number 23). */
function requireNoRight({ identity, now }: Claim, { entries }: Registered): void {
  for (const { id, spiffeId, expiresAt = Infinity, ...entry } of entries) {
    const right = spiffeId === identity && expiresAt > now ? RIGHTS.find((one) => entry[one]) : undefined;
    if (right !== undefined)
      throw new MeshError(
        "denied",
        `${identity} is ${right} at SPIRE's server, as its registration entry ${id} is marked ${right}, and whoever had a certificate of it would be, too: it is signed for no workload; give that right to an identity that has no pods in the mesh`,
        { told: `a registration entry of SPIRE for ${identity} is ${right}, so it is signed for no workload` },
      );
  }
}

function voucherOf(
  pod: PodFacts,
  { identity, bearer: { node }, now }: Claim,
  { entries }: Registered,
  parents: ReadonlySet<string>,
): SpireEntry {
  const selectors = selectorsOf(pod, node);
  let nearest: Shortfall | undefined;
  for (const entry of entries) {
    if (entry.spiffeId !== identity) continue;
    const lapses = [...lapsesOf(entry, selectors, parents, now)];
    if (lapses.length === 0) return entry;
    if (nearest === undefined || lapses.length < nearest.lapses.length) nearest = { entry, lapses };
  }
  const subject = `pod ${pod.namespace}/${pod.name} on node ${node}`;
  if (nearest === undefined)
    throw new MeshError(
      "denied",
      `SPIRE has no registration entry for ${identity}, which ${subject} needs; create one with the parent of that node's agent and selectors that the pod has, as k8s:ns:${pod.namespace} and k8s:sa:${pod.serviceAccount}`,
      { told: `SPIRE has no registration entry for ${identity}` },
    );
  const { entry, lapses } = nearest;
  throw new MeshError(
    "denied",
    `no registration entry of SPIRE for ${identity} holds for ${subject}; of the nearest, ${entry.id}, ${lapses.map(({ why }) => why).join(", and ")}`,
    {
      told: `no registration entry of SPIRE for ${identity} holds for its pods on this node: ${lapses.map(({ told }) => told).join(", ")}`,
    },
  );
}

interface Shortfall {
  readonly entry: SpireEntry;
  readonly lapses: readonly Lapse[];
}

interface Lapse {
  /** For our own log. */
  readonly why: string;
  /** For the node that asks: no value of a selector, no other node, no id. */
  readonly told: string;
}

function* lapsesOf(
  entry: SpireEntry,
  selectors: ReadonlySet<string>,
  parents: ReadonlySet<string>,
  now: EpochMs,
): Generator<Lapse> {
  if (entry.expiresAt !== undefined && entry.expiresAt <= now)
    yield { why: `it expired at ${new Date(entry.expiresAt).toISOString()}`, told: "its entry has expired" };
  // As agents do: such an identity is for whom SPIRE itself has attested (contract identity.md 1.2).
  for (const right of RIGHTS)
    if (entry[right]) yield { why: `it is marked ${right}, which is for no workload`, told: `its entry is ${right}` };
  if (entry.storeSvid)
    yield { why: "SPIRE's agents write it into a store, and give it to no workload", told: "its entry is for a store" };
  if (!parents.has(entry.parentId))
    yield {
      why: `its parent ${entry.parentId} is no live agent on that node, nor an alias of one`,
      told: "no live agent on this node is its entry's parent",
    };
  if (entry.selectors.length === 0) yield { why: "it has no selectors", told: "its entry has no selectors" };
  for (const selector of entry.selectors) if (!selectors.has(selector)) yield missing(selector);
}

const JUDGED = /^k8s:(?:ns|sa|pod-name|pod-uid|pod-label|node-name):/;

/** What can be judged of a pod without looking into its processes, as only SPIRE's agent there can. */
export const isJudged = (selector: string): boolean => JUDGED.test(selector);

function missing(selector: string): Lapse {
  const parts = selector.split(":");
  const kind = parts.slice(0, parts[1] === "pod-label" ? 3 : 2).join(":");
  if (isJudged(selector)) return { why: `the pod lacks its selector ${selector}`, told: `one lacks ${kind}` };
  return {
    why: `its selector ${selector} can be judged by SPIRE's own agents only, not here`,
    told: `${kind} cannot be judged here`,
  };
}

/** As SPIRE's workload attestor k8s writes them. */
function selectorsOf(pod: PodFacts, node: string): ReadonlySet<string> {
  return new Set([
    `k8s:ns:${pod.namespace}`,
    `k8s:sa:${pod.serviceAccount}`,
    `k8s:pod-name:${pod.name}`,
    `k8s:pod-uid:${pod.uid}`,
    `k8s:node-name:${node}`,
    ...Array.from(pod.labels, ([key, value]) => `k8s:pod-label:${key}:${value}`),
  ]);
}

/** Whose entries hold on the node: its agents', and those of aliases that stand for one of them. */
function parentsOn(claim: Claim, { agents, aliases }: Registered): ReadonlySet<string> {
  const { bearer, cluster, now } = claim;
  const there = agents.get(`${cluster}/${bearer.node}`) ?? [];
  const live = there.filter((agent) => isLive(agent, now));
  if (live.length === 0) throw noAgent(claim, there, agents);
  const stands = ({ selectors, expiresAt = Infinity }: SpireEntry): boolean =>
    selectors.length > 0 &&
    expiresAt > now &&
    live.some((agent) => selectors.every((selector) => agent.selectors.includes(selector)));
  return new Set([...live.map(({ id }) => id), ...aliases.filter(stands).map(({ spiffeId }) => spiffeId)]);
}

function noAgent(
  { identity, bearer: { node }, cluster }: Claim,
  [gone]: readonly SpireAgent[],
  agents: AgentsByNode,
): MeshError {
  // The first thing that goes wrong is a name of the cluster that SPIRE does not have.
  const others = [...agents.keys()]
    .filter((key) => key.endsWith(`/${node}`))
    .map((key) => key.slice(0, -node.length - 1));
  const otherwise =
    others.length === 0
      ? "run one, or check --spire-cluster"
      : `there are agents on a node of that name in cluster ${others.join(" and ")}; if that is what SPIRE calls this one, say so in --spire-cluster`;
  const what =
    gone === undefined
      ? `there is none that k8s_psat attested there, in cluster ${cluster}; ${otherwise}`
      : gone.banned
        ? `${gone.id} is banned`
        : `${gone.id} expired at ${new Date(gone.expiresAt).toISOString()}; check that it runs`;
  return new MeshError(
    "denied",
    `SPIRE has no live agent on node ${node}, so nobody vouches for pods there as ${identity}: ${what}`,
    { told: `SPIRE has no live agent on this node, which ${identity} needs` },
  );
}
