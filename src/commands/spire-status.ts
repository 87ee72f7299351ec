import { stringify } from "yaml";
import type { Command } from "../command.ts";
import { MeshError } from "../errors.ts";
import { fetchAdmin, PLANE_FLAGS } from "./admin-client.ts";
import { OUTPUT_FLAG } from "./output.ts";
import { spireStatusText } from "./spire-status-text.ts";
import type { SpireStatusView } from "./spire-view.ts";

/** `causeway spire status`: whether all is so between a mesh and SPIRE that has to be; 1 if a check fails. */
export const spireStatusCommand: Command = {
  name: "status",
  summary: "what has to be so between the mesh and SPIRE, checked; exit code 1 if a check fails",
  flags: [OUTPUT_FLAG, ...PLANE_FLAGS],
  async run(call) {
    const { options, printer } = call;
    const status = await fetchAdmin(call, "/debug/spirez");
    if (!isStatus(status)) throw new MeshError("unavailable", "the answer says nothing of SPIRE: is it a Causeway?");
    if (options["output"] === "json") printer.out(`${JSON.stringify(status, undefined, 2)}\n`);
    else if (options["output"] === "yaml") printer.out(stringify(status, { aliasDuplicateObjects: false }));
    else printer.out(spireStatusText(status));
    return status.checks.some(({ state }) => state === "fail") ? 1 : 0;
  },
};

const isStatus = (answer: unknown): answer is SpireStatusView =>
  typeof answer === "object" && answer !== null && "checks" in answer && Array.isArray(answer.checks);
