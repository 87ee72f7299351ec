import type { Command } from "../command.ts";
import { GatewayAgent } from "../gateway/agent.ts";
import { DRAIN_MS_MAX, GATEWAY_FLAGS, loadGatewaySettings } from "../gateway/settings.ts";
import { systemHost } from "../system-host.ts";
import { untilAborted } from "../until-aborted.ts";

/** The longest drain, and what Envoy then takes to end. */
const STOP_MS_MAX = DRAIN_MS_MAX + 10_000;

/** `causeway gateway`: beside the Envoy of a gateway, in its pod. */
export const gatewayCommand: Command = {
  name: "gateway",
  summary: "Run beside a gateway's Envoy: its identity, its bootstrap, its readiness",
  endless: true,
  stopMs: STOP_MS_MAX,
  flags: GATEWAY_FLAGS,
  async run({ options, environment, printer, signal }) {
    const settings = loadGatewaySettings(options, environment);
    const { levels, asJson } = settings.log;
    const agent = new GatewayAgent(
      systemHost({ logLevels: levels, logAsJson: asJson, component: "gateway" }),
      settings,
    );
    try {
      await agent.start();
      await Promise.race([untilAborted(signal), agent.failed]);
      const whyNeverReady = await agent.whyNeverReady();
      // Envoy may end before it is drained.
      await Promise.race([agent.stop(), agent.failed]);
      if (whyNeverReady === undefined) return 0;
      printer.err(`causeway: the gateway was stopped before it was ever ready: ${whyNeverReady}\n`);
      return 1;
    } finally {
      await agent.close();
    }
  },
};
