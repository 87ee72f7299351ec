import type { Command } from "../command.ts";
import { formatDuration } from "../duration.ts";
import { MeshError } from "../errors.ts";
import { printable } from "../printable.ts";
import { fetchAdmins, PLANE_FLAGS } from "./admin-client.ts";
import type { ClusterView } from "./cluster-view.ts";
import { OUTPUT_FLAG, print } from "./output.ts";

const HEADERS = ["NAME", "SECRET", "STATUS", "ISTIOD"];

/** Every cluster that a control plane reads; 1 if one of them is not known whole. */
export const remoteClustersCommand: Command = {
  name: "remote-clusters",
  summary: "clusters that are read, our own first, and whether each is synced; exit code 1 if one is not",
  flags: [OUTPUT_FLAG, ...PLANE_FLAGS],
  async run(call) {
    const answers = await fetchAdmins(call, "/debug/clusterz");
    if (!answers.every(Array.isArray))
      throw new MeshError("unavailable", "the answer is no list of clusters: is it a Causeway?");
    const clusters = (answers as readonly (readonly ClusterView[])[]).flat();
    print(call, clusters, HEADERS, () =>
      clusters.map(({ id, secretName, syncStatus, control_plane }) => [id, secretName, syncStatus, control_plane]),
    );
    const findings = clusters.flatMap(findingsOf);
    for (const finding of findings) call.printer.err(`${finding}\n`);
    return clusters.every(({ syncStatus }) => syncStatus === "synced") ? 0 : 1;
  },
};

function findingsOf({ id, syncStatus, reason, staleMs }: ClusterView): readonly string[] {
  const served = staleMs === undefined ? "" : `; what is served of it is ${formatDuration(staleMs)} old`;
  if (syncStatus === "synced" && reason === "" && served === "") return [];
  return [printable(`cluster ${id} is ${syncStatus}${reason === "" ? "" : `: ${reason}`}${served}`, 600)];
}
