import { type Command, UsageError } from "../command.ts";
import { CONFIG_FLAGS, loadConfig } from "../config.ts";
import { environmentNotices } from "../istiod-environment.ts";
import { KubernetesSource } from "../plane/kubernetes-source.ts";
import { localCluster } from "../plane/local-cluster.ts";
import { traceConfig } from "../trace-config.ts";
import { untilAborted } from "../until-aborted.ts";
import { leaveConnection } from "./demo-client.ts";
import { ISTIOD_FLAGS, renamedOptions } from "./istiod-flags.ts";
import { startPlane } from "./running-plane.ts";

/** `causeway serve`: a control plane for real ztunnels, of the cluster it runs in, or from folders of manifests. */
export const serveCommand = (pid: number): Command => ({
  name: "serve",
  aliases: ["discovery"],
  summary: "Serve a mesh to its ztunnels",
  endless: true,
  flags: [...CONFIG_FLAGS, ...ISTIOD_FLAGS],
  async run({ options, environment, signal, printer }) {
    const config = loadConfig(renamedOptions(options), environment, {
      listenAddress: "0.0.0.0",
      stateDir: "./var/lib/causeway",
    });
    const notices = environmentNotices(environment);
    if (notices.refusals.length > 0) throw new UsageError(notices.refusals.join("\n"));
    const ofFolders = config.manifests.length > 0;
    const source = ofFolders ? undefined : new KubernetesSource(config, await localCluster(config, environment));
    const traces = traceConfig(environment);
    const running = await startPlane({ config, openToAll: false, notices, traces }, signal, source);
    const { plane, admin } = running;
    try {
      await leaveConnection(running, config, undefined, pid);
      const { listenAddress: at } = config;
      const where = `discovery on ${at}:${plane.ports.xds}, admin on ${admin.adminPort}, health on ${admin.healthPort}`;
      printer.err(`causeway is ready: ${where}\n`);
      await untilAborted(signal);
      return 0;
    } finally {
      await running.close();
    }
  },
});
