import { table } from "../commands/table.ts";
import { DEMO_CLUSTERS } from "./clusters.ts";
import type { Convergence } from "./convergence.ts";
import type { DemoMesh } from "./mesh.ts";

/** Each cluster's links, and where each control plane is. */
export function linkTable(mesh: DemoMesh, convergence: Convergence): string {
  return table(
    ["CLUSTER", "DISCOVERY", "THE MESH AS A PAGE", "LINKS"],
    mesh.configs.map(({ cluster, config }) => {
      const running = mesh.planes.get(cluster);
      if (running === undefined) return [cluster, "stopped", "", ""];
      const { plane, admin } = running;
      const links = convergence.peers(cluster).map((peer) => `${peer.cluster} ${peer.state}`);
      const at = config.listenAddress;
      return [
        cluster,
        `https://${at}:${plane.ports.xds}`,
        `http://${at}:${admin.adminPort}/topology`,
        links.join(", "),
      ];
    }),
  );
}

/** The services that clusters share, as a ztunnel of `cluster` sees them. */
export function globalTable(convergence: Convergence, cluster: (typeof DEMO_CLUSTERS)[number]): string {
  const services = convergence.globalServices(cluster);
  return table(
    [`AS SEEN IN ${cluster.toUpperCase()}`, "VIP", ...DEMO_CLUSTERS.map((name) => `IN ${name.toUpperCase()}`)],
    services.map(({ host, vip, endpoints }) => [host, vip, ...DEMO_CLUSTERS.map((name) => `${endpoints[name] ?? 0}`)]),
  );
}
