import { type CommandCall, type Flag, type Options, textOption, UsageError } from "../command.ts";
import type { Clock } from "../host.ts";
import type { ClusterAccess } from "../inspect/cluster-access.ts";
import type { Selection } from "../kube/list-paths.ts";
import { objectName, FIELD_MANAGER, type Ownership } from "../linking/changes.ts";
import type { PlannedChange } from "../linking/applying.ts";
import { EAST_WEST } from "../linking/gateways.ts";
import { nameOfContext, readSides } from "../linking/read.ts";
import { type Side, sideOf } from "../linking/side.ts";
import { printable } from "../printable.ts";
import type { DataPlaneServiceType } from "../registry/model/peer.ts";
import { systemClock } from "../system-host.ts";
import { openContexts } from "./contexts.ts";

/** What commands that join clusters need of their machine. */
export interface LinkTools {
  readonly clock: Clock;
  open(call: CommandCall): Promise<readonly ClusterAccess[]>;
}

export const LINK_TOOLS: LinkTools = { clock: systemClock, open: openContexts };

/** A cluster as it is reached, and as it says it is. */
export interface OpenSide {
  readonly access: ClusterAccess;
  readonly side: Side;
}

export const PLACE_FLAGS: readonly Flag[] = [
  { flags: "-n, --namespace <name>", description: "where Gateways are made", default: EAST_WEST },
  { flags: "-i, --istio-namespace <name>", description: "where control planes are", default: "istio-system" },
];

export const APPLY_FLAGS: readonly Flag[] = [
  { flags: "--generate", description: "print the YAML, and apply nothing" },
  { flags: "--dry-run", description: "print what would change, and change nothing" },
  { flags: "--adopt", description: "take over fields that another field manager has, as Helm" },
  { flags: "--wait", description: "wait until it works, and say what for; --timeout says how long" },
];

const NAMESPACE = /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/;

export const namespacesOf = (options: Options): { readonly namespace: string; readonly system: string } => ({
  namespace: namespaceOption(options, "namespace", EAST_WEST),
  system: namespaceOption(options, "istioNamespace", "istio-system"),
});

function namespaceOption(options: Options, name: string, otherwise: string): string {
  const text = textOption(options, name) ?? otherwise;
  if (NAMESPACE.test(text)) return text;
  const flag = name === "namespace" ? "--namespace" : "--istio-namespace";
  throw new UsageError(`${flag} is "${printable(text, 80)}": a namespace is lower case letters, digits and '-'`);
}

export const ownershipOf = (options: Options): Ownership => ({
  manager: FIELD_MANAGER,
  adopt: options["adopt"] === true,
});

export function serviceTypeOption(options: Options): DataPlaneServiceType | undefined {
  const type = textOption(options, "serviceType");
  return type === "loadbalancer" || type === "nodeport" ? type : undefined;
}

/** Opens every context, reads all of them, and closes them whatever becomes of `work`. */
export async function withSides<T>(
  tools: LinkTools,
  call: CommandCall,
  selections: readonly Selection[],
  work: (sides: readonly OpenSide[]) => Promise<T>,
): Promise<T> {
  const accesses = await tools.open(call);
  try {
    return await work(await readOpen(tools, call, accesses, selections));
  } finally {
    await Promise.all(accesses.map((access) => access.close()));
  }
}

export async function readOpen(
  { clock }: LinkTools,
  { options, progress, signal }: CommandCall,
  accesses: readonly ClusterAccess[],
  selections: readonly Selection[],
): Promise<readonly OpenSide[]> {
  progress(`reading ${accesses.map(({ context }) => nameOfContext(context)).join(", ")}`);
  const facts = await readSides(clock, accesses, selections, signal);
  const { system } = namespacesOf(options);
  return accesses.map((access, at) => ({ access, side: sideOf(facts[at]!, { system }) }));
}

const DONE = { create: "made", change: "changed", keep: "unchanged" } as const;
const WOULD = { create: "would be made", change: "would be changed", keep: "unchanged" } as const;

/** As `cluster east: Gateway istio-eastwest/istio-eastwest made`. */
export const changeLine = ({ wish, change }: PlannedChange, dryRun: boolean): string =>
  `${wish.where}: ${objectName(change.manifest)} ${(dryRun ? WOULD : DONE)[change.action]}\n`;
