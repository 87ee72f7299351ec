import { type Command, UsageError } from "../command.ts";
import { CONFIG_FLAGS, loadConfig } from "../config.ts";
import { leaveConnection } from "./demo-client.ts";
import { startPlane, untilAborted } from "./running-plane.ts";

/** `causeway serve`: a control plane for real ztunnels, from folders of manifests. */
export const serveCommand = (pid: number): Command => ({
  name: "serve",
  aliases: ["discovery"],
  summary: "Serve a mesh to its ztunnels",
  endless: true,
  flags: CONFIG_FLAGS,
  async run({ options, environment, signal, printer }) {
    const config = loadConfig(options, environment, { listenAddress: "0.0.0.0", stateDir: "./var/lib/causeway" });
    // Kubernetes is a later issue's; to run without a cluster, and say nothing, would be worse than not to run.
    if (config.manifests.length === 0)
      throw new UsageError("serve reads its clusters from folders, and none is given: name one with --manifests <dir>");
    const running = await startPlane({ config, openToAll: false }, signal);
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
