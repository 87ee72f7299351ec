import type { Maker } from "../ca/intermediate.ts";
import type { CommandGroup } from "../command.ts";
import { caInitCommand } from "./ca-init.ts";
import { caIssueCommand } from "./ca-issue.ts";
import { caRotateCommand } from "./ca-rotate.ts";
import { caStatusCommand } from "./ca-status.ts";
import { caVerifyCommand } from "./ca-verify.ts";

/** `causeway ca`: the root of a mesh and the authorities of its clusters, as files. It needs no cluster and asks none. */
export const caCommands = (maker: Maker): CommandGroup => ({
  name: "ca",
  summary: "make and check a root, and the authorities of clusters under it",
  commands: [
    caInitCommand(maker),
    caIssueCommand(maker),
    caRotateCommand(maker),
    caStatusCommand(maker.clock),
    caVerifyCommand(maker.clock),
  ],
});
