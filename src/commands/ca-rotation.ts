import { normalize } from "node:path";
import { type ClusterAuthority, readClusterAuthority } from "../ca/cluster-authority.ts";
import { type Issued, issuedBy } from "../ca/issued-list.ts";
import type { Maker } from "../ca/intermediate.ts";
import { readTrustedRoot, type TrustedRoot } from "../ca/root-folder.ts";
import { type PlannedStep, planRotation, type RotatingCluster, rotatingCluster } from "../ca/rotation.ts";
import { clusterNameOf } from "../ca/rotation-files.ts";
import { type CommandCall, listOption, textOption, UsageError } from "../command.ts";
import { parseDurationMs } from "../duration.ts";
import { MeshError } from "../errors.ts";
import { requiredOption } from "./ca-flags.ts";

/** What the user asks for, read and held together. */
export interface Rotation {
  readonly from: TrustedRoot;
  readonly to: TrustedRoot;
  readonly clusters: readonly ClusterAuthority[];
  readonly stages: readonly RotatingCluster[];
  readonly plan: readonly PlannedStep[];
  readonly leafTtl: string;
  /** What both roots issued, by their own lists. */
  readonly issued: readonly Issued[];
  /** Clusters that hold what one of the roots issued, and whose folder was not given. */
  readonly leftOut: readonly string[];
}

export function foldersOf({ options }: CommandCall): {
  readonly all: readonly string[];
  readonly only: readonly string[];
} {
  const named = (flag: string): readonly string[] => [...new Set(listOption(options, flag).map(plainPath))];
  const [all, only] = [named("dir"), named("only")];
  if (all.length === 0) throw new UsageError("say which clusters with --dir DIR, once for each");
  const unknown = only.find((folder) => !all.includes(folder));
  if (unknown !== undefined) throw new UsageError(`--only is "${unknown}", which is none of the folders of --dir`);
  return { all, only: only.length > 0 ? only : all };
}

/** One folder, one name. */
const plainPath = (path: string): string => normalize(path).replace(/(.)\/+$/, "$1");

/** @throws UsageError, MeshError */
export async function readRotation(maker: Maker, call: CommandCall): Promise<Rotation> {
  const { options } = call;
  const now = maker.clock.now();
  const leafTtl = textOption(options, "leafTtl") ?? "24h";
  const leafTtlMs = parseDurationMs(leafTtl);
  if (leafTtlMs === undefined) throw new UsageError(`--leaf-ttl is "${leafTtl}": give a duration above 0, as 24h`);
  const from = await readTrustedRoot(requiredOption(call, "root", "which root issued what is in use"));
  const to = await readTrustedRoot(requiredOption(call, "to", "which root to move to"));
  if (from.publicKey.equals(to.publicKey))
    throw new MeshError(
      "invalid",
      `${from.folder} and ${to.folder} have the same key: what one issued holds under the other`,
    );
  const clusters = await Promise.all(foldersOf(call).all.map((folder) => readClusterAuthority(folder, now)));
  const stages = clusters.map((cluster) => rotatingCluster(cluster, from.certificate, to.certificate));
  const issued = [...(await issuedBy(from.folder)), ...(await issuedBy(to.folder))];
  const known = new Set([...clusters.map((one) => clusterNameOf(one, issued)), ...listOption(options, "without")]);
  const inUse = issued.filter(({ cluster, notAfter }) => Date.parse(notAfter) > now && !known.has(cluster));
  const leftOut = [...new Set(inUse.map(({ cluster }) => cluster))];
  return { from, to, clusters, stages, plan: planRotation(stages, leafTtlMs, now), leafTtl, issued, leftOut };
}

export const leftOutText = (clusters: readonly string[]): string =>
  `the roots also issued what may be in use in ${clusters.join(", ")}: give its folder with --dir, or --without ${clusters[0]} if it is no more`;
