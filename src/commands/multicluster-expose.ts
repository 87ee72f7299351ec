import { type Command, type CommandCall, type ExitCode, UsageError } from "../command.ts";
import { MeshError } from "../errors.ts";
import { carryOut, plannedChanges, type Wish } from "../linking/applying.ts";
import { NETWORK_LABEL } from "../linking/gateways.ts";
import { exposedObjects, manifestsYaml } from "../linking/exposure.ts";
import { exposeSelections } from "../linking/read.ts";
import { kubectl, nameOf, type Side } from "../linking/side.ts";
import { type Awaited, waitForAll } from "../linking/waiting.ts";
import { CONTEXT_FLAGS, namedContexts } from "./contexts.ts";
import { type Asked, askedFor, EXPOSE_FLAGS } from "./expose-request.ts";
import {
  APPLY_FLAGS,
  changeLine,
  LINK_TOOLS,
  type LinkTools,
  namespacesOf,
  type OpenSide,
  ownershipOf,
  PLACE_FLAGS,
  withSides,
} from "./link-tools.ts";

/** `causeway multicluster expose`: the way into a cluster from others (contract peering.md 4.1). */
export function exposeCommand(tools: LinkTools = LINK_TOOLS): Command {
  return {
    name: "expose",
    summary: "make the east-west Gateway by which other clusters reach this one",
    flags: [...CONTEXT_FLAGS, ...PLACE_FLAGS, ...APPLY_FLAGS, ...EXPOSE_FLAGS],
    examples: [
      "causeway multicluster expose --context east --wait",
      "causeway multicluster expose --contexts east,west --service-type nodeport --hbone-node-port 30015 --xds-node-port 30016",
      "causeway multicluster expose --generate --cluster east --network east",
    ],
    run: (call) => expose(tools, call),
  };
}

async function expose(tools: LinkTools, call: CommandCall): Promise<ExitCode> {
  const { options, printer } = call;
  const asked = askedFor(options);
  const { cluster, network } = asked;
  if (namedContexts(call).length > 1 && (cluster ?? network) !== undefined)
    throw new UsageError("--cluster and --network are for one cluster: name one context");
  if (options["generate"] === true && cluster !== undefined && network !== undefined) {
    printer.out(manifestsYaml(exposedObjects({ ...asked, cluster, network }), [`for cluster ${cluster}`]));
    return 0;
  }
  const { system } = namespacesOf(options);
  return withSides(tools, call, exposeSelections(system), (sides) => exposeSides(tools, call, asked, sides));
}

async function exposeSides(
  { clock }: LinkTools,
  call: CommandCall,
  asked: Asked,
  sides: readonly OpenSide[],
): Promise<ExitCode> {
  const { options, printer, signal, progress } = call;
  const wishes = sides.map(({ access, side }): Wish => {
    const exposure = { ...asked, ...identityOf(side, asked) };
    return { api: access.api, where: nameOf({ ...side, ...exposure }), manifests: exposedObjects(exposure) };
  });
  if (options["generate"] === true) {
    for (const { where, manifests } of wishes) printer.out(manifestsYaml(manifests, [`for ${where}`]));
    return 0;
  }
  const ownership = ownershipOf(options);
  const planned = await plannedChanges(wishes, ownership, signal);
  const dryRun = options["dryRun"] === true;
  for (const each of planned)
    if (dryRun || each.change.action === "keep")
      printer.out(changeLine(each, dryRun) + (dryRun ? each.change.diff : ""));
  if (dryRun) return 0;
  await carryOut(planned, ownership, (done) => printer.out(changeLine(done, false)), signal);
  if (options["wait"] !== true) return 0;
  const { namespace, name } = asked;
  const awaited = { namespace, name, conditions: ["Programmed"], address: true };
  const programmed = ({ where }: Awaited): void =>
    printer.out(`${where}: Gateway ${namespace}/${name} is programmed, and has an address\n`);
  progress(`waiting for Gateway ${namespace}/${name}`);
  const all = wishes.map(({ api, where }) => ({ ...awaited, api, where }));
  await waitForAll(clock, all, programmed, (text) => printer.err(text), signal);
  return 0;
}

/** @throws MeshError naming what says nothing, and how to say it. */
function identityOf(side: Side, asked: Asked): { readonly cluster: string; readonly network: string } {
  const cluster = asked.cluster ?? side.cluster;
  const network = asked.network ?? side.network;
  if (cluster === undefined)
    throw new MeshError(
      "absent",
      `nothing says the cluster ID of ${nameOf(side)}: no pod labelled app=istiod in namespace ${side.system} has CLUSTER_ID; give --cluster, or --istio-namespace if its control plane is elsewhere`,
    );
  if (network === undefined)
    throw new MeshError(
      "absent",
      `namespace ${side.system} of ${nameOf(side)} has no label ${NETWORK_LABEL}: ${kubectl(side)} label namespace ${side.system} ${NETWORK_LABEL}=${cluster}, as every pod is on that network; or give --network`,
    );
  if (side.network !== undefined && side.network !== network)
    throw new MeshError(
      "invalid",
      `--network is ${network}, but namespace ${side.system} of ${nameOf(side)} says ${side.network}: both must be the same`,
    );
  return { cluster, network };
}
