import type { Maker } from "../ca/intermediate.ts";
import type { CommandGroup } from "../command.ts";
import { trustRevokeCommand } from "./trust-revoke.ts";
import { trustServeCommand } from "./trust-serve.ts";
import { trustStatusCommand } from "./trust-status.ts";
import { trustTokenCommand } from "./trust-token.ts";

/** `causeway trust`: one root for all clusters, and where each cluster is, and which may ask for what is under it. */
export const trustCommands = (maker: Maker, pid: number): CommandGroup => ({
  name: "trust",
  summary: "the trust manager: one root for all clusters, and what lets a cluster take part",
  commands: [trustStatusCommand, trustServeCommand(pid), trustTokenCommand(maker), trustRevokeCommand(maker)],
});
