import { type Command, type CommandCall, textOption } from "../command.ts";
import { MeshError } from "../errors.ts";
import { byCodeUnit } from "../registry/collection/collection.ts";
import { fetchAdmin, PLANE_FLAGS } from "./admin-client.ts";
import type { GatewayView, PolicyView, ServiceView, WorkloadView } from "./mesh-view.ts";
import { OUTPUT_FLAG, print } from "./output.ts";
import type { Row } from "./table.ts";

/** What `/debug/ambientz` answers. */
export interface Mesh {
  readonly workloads: readonly WorkloadView[];
  readonly services: readonly ServiceView[];
  readonly policies: readonly PolicyView[];
}

interface Named {
  readonly namespace: string;
  readonly name: string;
}

export interface MeshListing<V extends Named> {
  /** Of the command, and of the part of the mesh that it lists. */
  readonly name: "workloads" | "services" | "policies";
  readonly aliases: readonly string[];
  readonly summary: string;
  /** As istioctl heads them. */
  readonly headers: Row;
  of(mesh: Mesh): readonly V[];
  row(view: V, mesh: Mesh): Row;
}

/** A command that lists one part of the mesh, by namespace and name. */
export function meshListing<V extends Named>(listing: MeshListing<V>): Command {
  const { name, aliases, summary, headers } = listing;
  return {
    name,
    aliases,
    summary,
    args: ["[name]"],
    flags: [
      { flags: "-n, --namespace <name>", description: "only those of one namespace" },
      OUTPUT_FLAG,
      ...PLANE_FLAGS,
    ],
    async run(call) {
      const mesh = await fetchMesh(call);
      const found = wanted(listing.of(mesh), call);
      print(call, found, headers, () => found.map((view) => listing.row(view, mesh)));
      if (found.length === 0) call.printer.err(`no ${name} match\n`);
      return 0;
    },
  };
}

/** What istioctl writes where there is nothing. */
export const NONE = "None";

/** The name of the service that a waypoint is reached by; its destination, if none has it. */
export function waypointName(waypoint: GatewayView | undefined, { services }: Mesh): string {
  if (waypoint === undefined) return NONE;
  const { destination } = waypoint;
  const service = services.find(({ namespace, hostname, vips }) => {
    return destination === `${namespace}/${hostname}` || vips.includes(destination);
  });
  return service?.name ?? destination;
}

async function fetchMesh(call: CommandCall): Promise<Mesh> {
  const mesh = (await fetchAdmin(call, "/debug/ambientz")) as Mesh | null;
  const parts = [mesh?.workloads, mesh?.services, mesh?.policies];
  if (parts.every(Array.isArray)) return mesh!;
  throw new MeshError("unavailable", "the answer has no workloads, services and policies: is it a Causeway?");
}

/** Those in the namespace, if one is given, whose name holds the given part, if one is given. */
function wanted<V extends Named>(views: readonly V[], { args, options }: CommandCall): readonly V[] {
  const [part = ""] = args;
  const namespace = textOption(options, "namespace");
  return views
    .filter((view) => (namespace === undefined || view.namespace === namespace) && view.name.includes(part))
    .sort((a, b) => byCodeUnit(a.namespace, b.namespace) || byCodeUnit(a.name, b.name));
}
