import type { Command } from "../command.ts";
import { eitherSignal } from "../either-signal.ts";
import { MeshError } from "../errors.ts";
import { loadManagerConfig, MANAGER_FLAGS } from "../manager-config.ts";
import { untilAborted } from "../until-aborted.ts";
import { leaveManagerConnection, startManager } from "./running-manager.ts";

/** `causeway trust serve`: one root for all clusters of a mesh (contract identity.md 4). */
export const trustServeCommand = (pid: number): Command => ({
  name: "serve",
  summary: "Run the trust manager: one root, and an intermediate for each registered cluster",
  endless: true,
  flags: MANAGER_FLAGS,
  async run({ options, environment, signal, printer }) {
    const config = loadManagerConfig(options, environment);
    const running = await startManager(config, environment, signal).catch((thrown: unknown) => {
      // Whoever waits for its turn was told to end: nothing failed.
      if (signal.aborted) return undefined;
      throw thrown;
    });
    if (running === undefined) return 0;
    try {
      const { listenAddress: at } = config;
      const { admin, relayPort } = running;
      await leaveManagerConnection(running, config, pid);
      const where = `relay on ${at}:${relayPort}, admin on ${admin.adminPort}, health on ${admin.healthPort}`;
      printer.err(`causeway's trust manager is ready: ${where}\n`);
      await untilAborted(eitherSignal(signal, running.over));
      if (signal.aborted) return 0;
      const why = "another replica leads by now, or the API server let no Lease be renewed";
      throw new MeshError("unavailable", `${why}: nothing is signed any more; start again to wait for the next turn`);
    } finally {
      await running.close();
    }
  },
});
