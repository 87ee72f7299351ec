import { ISTIO } from "../ca/cacerts.ts";
import { type ClusterAuthority, isIssuedBy, readClusterAuthority } from "../ca/cluster-authority.ts";
import { issuedBy } from "../ca/issued-list.ts";
import type { Maker } from "../ca/intermediate.ts";
import { readRoot, type TrustedRoot } from "../ca/root-folder.ts";
import { concernedBy, type PlannedStep, type RotationStep } from "../ca/rotation.ts";
import {
  type FolderChange,
  listsHold,
  noteSuccessors,
  withRoots,
  withSuccessor,
  writeChange,
} from "../ca/rotation-files.ts";
import { type Command, type CommandCall, type Options, textOption, UsageError } from "../command.ts";
import { MeshError } from "../errors.ts";
import type { EpochMs } from "../host.ts";
import { DIRS_FLAG, requiredOption } from "./ca-flags.ts";
import { foldersOf, leftOutText, readRotation, type Rotation } from "./ca-rotation.ts";
import { planText, stepText } from "./ca-rotation-text.ts";

const STEPS = ["renew", "add-root", "switch", "remove-root"] as const;
type Step = (typeof STEPS)[number];

/** `causeway ca rotate`: new keys under the same root, or another root in steps that nobody notices. */
export const caRotateCommand = (maker: Maker): Command => ({
  name: "rotate",
  summary: "renew the authorities of clusters, or move them to another root in three steps",
  flags: [
    { flags: "--root <dir>", description: "the root that issued what is in use" },
    { flags: "--to <dir>", description: "the root to move to" },
    { ...DIRS_FLAG, description: "the folder of a cluster; repeat it for every cluster of the mesh" },
    { flags: "--plan", description: "print the steps, what is done and what is to wait for; write nothing" },
    { flags: "--step <step>", description: "do one step; renew is without --to", choices: STEPS },
    { flags: "--only <dir>", description: "of these folders alone; may be repeated", repeated: true },
    { flags: "--leaf-ttl <duration>", description: "how long certificates of workloads live; 24h by default" },
    { flags: "--without <cluster>", description: "a cluster that is no more; may be repeated", repeated: true },
    { flags: "-o, --output <format>", description: "of the plan", choices: ["text", "json"], default: "text" },
  ],
  async run(call) {
    const { options } = call;
    const step = stepOf(options);
    if (textOption(options, "to") === undefined) return renew(maker, call, step);
    const rotation = await readRotation(maker, call);
    if (step !== undefined) return doStep(maker, call, rotation, step);
    const { plan, stages, leftOut } = rotation;
    const text = (): string => planText(rotation, call);
    call.printer.out(
      options["output"] === "json" ? `${JSON.stringify({ stages, plan, leftOut }, undefined, 2)}\n` : text(),
    );
    if (leftOut.length > 0) call.printer.err(`${leftOutText(leftOut)}\n`);
    return leftOut.length > 0 ? 1 : 0;
  },
});

/** Undefined for a plan. */
function stepOf(options: Options): Step | undefined {
  const step = STEPS.find((known) => known === options["step"]);
  const plan = options["plan"] === true;
  if (plan === (step !== undefined)) throw new UsageError("say either --plan, or which --step to do");
  const moves = textOption(options, "to") !== undefined;
  if (moves && step === "renew") throw new UsageError("--step renew stays with the root; leave out --to");
  if (!moves && step !== undefined && step !== "renew") throw new UsageError(`--step ${step} needs --to, the new root`);
  return step;
}

async function doStep(maker: Maker, call: CommandCall, rotation: Rotation, asked: Step): Promise<0> {
  const { plan, stages, leftOut, clusters } = rotation;
  const planned = plan.find(({ step }) => step === asked)!;
  if (planned.state === "done") {
    call.printer.err(`nothing to do: ${asked} is done\n`);
    return 0;
  }
  if (leftOut.length > 0) throw new MeshError("conflict", leftOutText(leftOut));
  if (planned.state !== "next")
    throw new MeshError("conflict", `${refusalOf(planned, plan)}\n${planText(rotation, call)}`);
  const { only } = foldersOf(call);
  const concerned = concernedBy(planned.step, stages).filter(({ folder }) => only.includes(folder));
  if (concerned.length === 0) {
    call.printer.err(`nothing to do: ${asked} is done in ${only.join(", ")}, and not in all\n`);
    return 0;
  }
  const changing = clusters.filter(({ folder }) => concerned.some((one) => one.folder === folder));
  const changes = await Promise.all(changing.map((cluster) => changeOf(maker, planned.step, cluster, rotation)));
  await noteSuccessors(rotation.to.folder, changes, rotation.issued);
  for (const change of changes) await written(call, change, maker.clock.now());
  call.printer.out(stepText(planned.step, rotation.leafTtl));
  return 0;
}

function refusalOf({ step, from }: PlannedStep, plan: readonly PlannedStep[]): string {
  if (from !== undefined)
    return `${step} is too early: workloads may hold certificates from before the last step until ${new Date(from).toISOString()}`;
  const next = plan.find(({ state }) => state === "next" || state === "waits");
  return `${step} would cut off what is in use: ${next?.step ?? "another step"} comes before it`;
}

async function changeOf(
  maker: Maker,
  step: RotationStep,
  cluster: ClusterAuthority,
  { from, to }: Rotation,
): Promise<FolderChange> {
  const now = maker.clock.now();
  const others = (root: TrustedRoot): readonly Uint8Array[] =>
    cluster.roots.filter((trusted) => !Buffer.from(trusted).equals(root.certificate));
  if (step === "switch") return withSuccessor(maker, cluster, await readRoot(to.folder, now));
  if (step === "remove-root") return withRoots(cluster, others(from), now);
  const added = [from, to].filter((root) => others(root).length === cluster.roots.length);
  return withRoots(cluster, [...cluster.roots, ...added.map(({ certificate }) => certificate)], now);
}

async function written({ printer }: CommandCall, change: FolderChange, now: EpochMs): Promise<void> {
  const { folder, lists } = change.cluster;
  await writeChange(change);
  printer.err(`${folder}: wrote ${[...change.files.keys()].join(", ")}; what was there is in ${folder}/previous\n`);
  if (lists !== undefined) printer.err(aboutLists(change, lists, now));
}

/** What was revoked must stay so: lists are to be removed only where they count for nobody. */
function aboutLists(change: FolderChange, lists: string, now: EpochMs): string {
  const file = `${change.cluster.folder}/ca-crl.pem`;
  if (!listsHold(change, lists, now))
    return `${file} holds no list that counts now, and nothing is loaded with it; replace or remove it\n`;
  if (!change.files.has(ISTIO.certificate)) return "";
  return `keep ${file}, which holds what is revoked; stock istiod wants a list of the new authority in it, too\n`;
}

/** New keys under the same root: nobody has to trust anything new, so there is nothing to wait for. */
async function renew(maker: Maker, call: CommandCall, step: Step | undefined): Promise<0> {
  const now = maker.clock.now();
  const root = await readRoot(requiredOption(call, "root", "which root issued what is in use"), now);
  const { only } = foldersOf(call);
  const clusters = await Promise.all(only.map((folder) => readClusterAuthority(folder, now)));
  const foreign = clusters.find(({ last }) => !isIssuedBy(last, root.certificate));
  if (foreign !== undefined)
    throw new MeshError(
      "conflict",
      `${foreign.folder}: ${root.folder} did not issue its authority; to move it there give --root and --to`,
    );
  if (step === undefined) {
    for (const { folder } of clusters)
      call.printer.out(`${folder}: renew its key and certificate with --step renew; install it\n`);
    return 0;
  }
  const changes = await Promise.all(clusters.map((cluster) => withSuccessor(maker, cluster, root)));
  await noteSuccessors(root.folder, changes, await issuedBy(root.folder));
  for (const change of changes) await written(call, change, now);
  call.printer.out("install the folders in their clusters; nothing is to wait for, as the root is the same\n");
  return 0;
}
