import { systemClock } from "../system-host.ts";
import type { Convergence } from "./convergence.ts";
import { type HandshakeCounts, Handshakes } from "./handshakes.ts";
import type { DemoMesh } from "./mesh.ts";
import type { DemoTrust } from "./trust.ts";

/** What came of a change of the root. */
export interface RootChange {
  /** First 8 characters of their SHA-256. */
  readonly from: string;
  readonly to: string;
  readonly tookMs: number;
  /** Between workloads of all clusters, meanwhile. */
  readonly handshakes: HandshakeCounts;
  /** Of links between control planes. */
  readonly links: LinkEnds;
}

/** Streams of links that ended, or did not begin, by what the metrics of all control planes say. */
interface LinkEnds {
  /** As what one end had shown led to a root that went: it was dialled anew. */
  readonly renewed: number;
  /** As one end did not believe the other. */
  readonly refused: number;
}

/** Changes the root of the whole mesh while workloads of all clusters call each other, and counts what was refused. */
export async function changeRoot(
  mesh: DemoMesh,
  trust: DemoTrust,
  convergence: Convergence,
  signal: AbortSignal,
): Promise<RootChange> {
  const planes = mesh.configs.map(({ cluster, config }) => ({ ...mesh.planes.get(cluster)!, config }));
  await using handshakes = await Handshakes.start(planes, signal);
  const from = signingRoot(trust);
  const before = await linkEnds(mesh);
  const startMs = systemClock.elapsedMs();
  await trust.rotateRoot();
  const isOver = (): boolean => {
    if (convergence.shortcomings().length > 0) return false;
    const { rotation, roots, clusters } = trust.view;
    const only = roots.length === 1 && roots[0]!.sha256 !== from;
    return only && rotation.phase === "steady" && clusters.every(({ signingRoot }) => signingRoot === roots[0]!.sha256);
  };
  await trust.until(isOver, "the change of the root did not end", signal);
  const tookMs = Math.round(systemClock.elapsedMs() - startMs);
  const after = await linkEnds(mesh);
  const links = { renewed: after.renewed - before.renewed, refused: after.refused - before.refused };
  const to = signingRoot(trust).slice(0, 8);
  return { from: from.slice(0, 8), to, tookMs, handshakes: handshakes.counts, links };
}

const ENDED = /^peer_reconnects_total\{[^}]*reason="(\w+)"[^}]*\} (\d+)$/gm;
const REFUSALS = ["TLSUnknownAuthority", "TLSBadCertificate", "IdentityMismatch", "PermissionDenied"];

async function linkEnds(mesh: DemoMesh): Promise<LinkEnds> {
  const ends = { renewed: 0, refused: 0 };
  for (const { host } of mesh.planes.values())
    for (const [, reason, count] of (await host.metrics.text()).matchAll(ENDED))
      ends[REFUSALS.includes(reason!) ? "refused" : "renewed"] += Number(count);
  return ends;
}

const signingRoot = ({ view }: DemoTrust): string => view.roots.find(({ role }) => role === "signing")?.sha256 ?? "";

export const rootChangeText = ({ from, to, tookMs, handshakes, links }: RootChange): string =>
  [
    `root ${from} became root ${to} within ${tookMs} ms: every cluster trusted both, then each signed under the new one, then`,
    `the old one went. Meanwhile workloads of all clusters did ${handshakes.completed} handshakes; ${handshakes.refused} were refused.`,
    ...handshakes.why,
    `Links between control planes were dialled anew ${links.renewed} times, as the root of what they had shown went; ${links.refused} were refused.`,
  ].join("\n  ");
